"""Spoken words from the eSpeak NG synthesiser, through ctypes.

The library comes with the package ``espeakng-loader``. It keeps its state in global variables,
so that what it says depends on what it said before: for the same bits, say the same things in the
same order in a fresh process, and in voices without breath, whose noise differs between processes.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from counterpoise.core.errors import suggestion

SAMPLE_RATE = 22050
"""Samples a second that eSpeak NG's own voices are made with."""

# From the library's header: the output mode that returns when the speech is done, the option to
# return an error instead of ending the process, and the parameters that an utterance sets.
_SYNCHRONOUS, _DO_NOT_EXIT = 2, 0x8000
_RATE, _PITCH, _PITCH_RANGE = 1, 3, 4
_UTF8, _BY_CHARACTER = 1, 1


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("internal", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@dataclass(frozen=True)
class Utterance:
    """What is said, by whom and how.

    Attributes:
        text: The words.
        accent: A language file, such as ``"gmw/en-US"``.
        voice: A speaker (eSpeak NG's "variant"), such as ``"f1"``.
        rate: Words a minute, 80 to 450.
        pitch: Base pitch, 0 to 100; 50 is the voice's own.
        pitch_range: How lively the pitch moves, 0 (monotone) to 100.
    """

    text: str
    accent: str
    voice: str
    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50


class Synthesiser:
    """Speaks utterances; one a process, since the library's state is global.

    Attributes:
        accents: The language files that the library has.
        voices: The speakers that it has.

    Raises:
        ImportError: If ``espeakng-loader`` is not installed.
        RuntimeError: If the library does not start as expected.
    """

    def __init__(self) -> None:
        import espeakng_loader  # type: ignore[import-untyped]

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data_path = espeakng_loader.get_data_path().encode()
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data_path, _DO_NOT_EXIT)
        if rate != SAMPLE_RATE:
            raise RuntimeError(
                f"eSpeak NG should start with {SAMPLE_RATE} samples a second; found {rate}. "
                "Reinstall espeakng-loader."
            )
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self.accents = frozenset(self._list(None))
        names = self._list(_Voice(languages=b"variant"))
        self.voices = frozenset(name.replace("\\", "/").removeprefix("!v/") for name in names)
        self._spoken = bytearray()
        self._callback = _Callback(self._collect)  # must live as long as the library may call it
        self._library.espeak_SetSynthCallback(self._callback)

    def _list(self, wanted: _Voice | None) -> list[str]:
        entries = self._library.espeak_ListVoices(None if wanted is None else ctypes.byref(wanted))
        identifiers: list[str] = []
        while entries[len(identifiers)]:
            identifiers.append(entries[len(identifiers)].contents.identifier.decode())
        return identifiers

    def _collect(self, samples: ctypes._Pointer[ctypes.c_short], num: int, _: int | None) -> int:
        if samples and num > 0:
            self._spoken += ctypes.string_at(samples, num * ctypes.sizeof(ctypes.c_short))
        return 0  # go on

    def speak(self, utterance: Utterance) -> Tensor:
        """Map an utterance to its waveform.

        Returns:
            Shape (T,), int16, T > 0, at :data:`SAMPLE_RATE`.

        Raises:
            ValueError: If the accent or the voice is unknown (left to itself the library would
                silently speak with another one).
            RuntimeError: If nothing was said.
        """
        self._check("accent", utterance.accent, self.accents)
        self._check("voice", utterance.voice, self.voices)
        self._spoken.clear()
        library, text = self._library, utterance.text.encode() + b"\0"
        voice = f"{utterance.accent}+{utterance.voice}".encode()
        # A voice brings its own parameters, so they are set after it.
        failed = library.espeak_SetVoiceByName(voice)
        for parameter, value in (
            (_RATE, utterance.rate),
            (_PITCH, utterance.pitch),
            (_PITCH_RANGE, utterance.pitch_range),
        ):
            failed |= library.espeak_SetParameter(parameter, value, 0)
        failed |= library.espeak_Synth(text, len(text), 0, _BY_CHARACTER, 0, _UTF8, None, None)
        if failed or not self._spoken:
            raise RuntimeError(f"eSpeak NG should say {utterance}; it failed. Report this.")
        return torch.frombuffer(bytearray(self._spoken), dtype=torch.int16)

    @staticmethod
    def _check(field: str, name: str, known: frozenset[str]) -> None:
        if name not in known:
            raise ValueError(
                f"`{field}` should be one that eSpeak NG has; found {name!r}. "
                f"List them with Synthesiser().{field}s.{suggestion(name, sorted(known))}"
            )
