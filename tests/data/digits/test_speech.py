import re
import subprocess
import sys

import pytest
import torch

from counterpoise.data.digits.digits_build import ACCENTS, VOICES
from counterpoise.data.digits.speech import SAMPLE_RATE, Synthesiser, Utterance

pytest.importorskip("espeakng_loader", reason="needs the extra `digits`")


@pytest.fixture(scope="module")
def synthesiser():
    return Synthesiser()  # one a process


def test_words_are_heard_and_differ(synthesiser):
    words = [synthesiser.speak(Utterance(word, "gmw/en", "f1")) for word in ("one", "two")]
    for waveform in words:
        assert waveform.dtype == torch.int16
        assert 0.1 < len(waveform) / SAMPLE_RATE < 2
        assert waveform.abs().max() > 1000
    assert len(words[0]) != len(words[1]) or not torch.equal(words[0], words[1])


def test_a_higher_rate_is_shorter(synthesiser):
    slow, fast = (synthesiser.speak(Utterance("seven", "gmw/en", "m3", rate=r)) for r in (90, 300))
    assert len(fast) < 0.5 * len(slow)


def test_a_higher_pitch_is_higher(synthesiser):
    def fundamental(pitch):
        waveform = synthesiser.speak(Utterance("nine", "gmw/en", "m3", 90, pitch, 0)).double()
        middle = waveform[len(waveform) // 3 :][:4096]
        spectrum = torch.fft.rfft(middle, n=2**16).abs()
        correlation = torch.fft.irfft(spectrum.square())
        low, high = SAMPLE_RATE // 250, SAMPLE_RATE // 50
        return SAMPLE_RATE / (low + int(correlation[low:high].argmax()))

    assert fundamental(90) > 1.2 * fundamental(10)


def test_all_voices_and_accents_of_the_data_set_exist_and_sound_different(synthesiser):
    assert set(ACCENTS) <= synthesiser.accents
    voices = [voice for split in VOICES.values() for voice in split]
    assert set(voices) <= synthesiser.voices
    heard = {
        bytes(synthesiser.speak(Utterance("zero", "gmw/en", voice)).view(torch.uint8).tolist())
        for voice in voices
    }
    assert len(heard) == len(voices)


@pytest.mark.parametrize(
    ("utterance", "message"),
    [
        (Utterance("one", "gmw/en-UK", "f1"), "`accent` should be one that eSpeak NG has; found"),
        (
            Utterance("one", "gmw/en", "annie"),
            "found 'annie'. List them with Synthesiser().voices.",
        ),
        (Utterance("one", "gmw/en", "annie"), "Did you mean 'Annie'?"),
    ],
)
def test_what_cannot_be_spoken_is_refused(synthesiser, utterance, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        synthesiser.speak(utterance)


def test_a_word_that_fails_is_reported(synthesiser, monkeypatch):
    class Mute:
        def __getattr__(self, name):
            return lambda *_: 0

    monkeypatch.setattr(synthesiser, "_library", Mute())
    with pytest.raises(RuntimeError, match=r"eSpeak NG should say Utterance\(text='one'.* failed"):
        synthesiser.speak(Utterance("one", "gmw/en", "f1"))


def test_a_library_that_does_not_start_is_refused(tmp_path):
    program = (
        "import espeakng_loader; espeakng_loader.get_data_path = lambda: 'nowhere';"
        "from counterpoise.data.digits.speech import Synthesiser; Synthesiser()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert ran.returncode == 1
    assert "should start with 22050 samples a second; found " in ran.stderr
