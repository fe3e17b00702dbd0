import math
import re
from collections import Counter
from itertools import chain

import pytest
import torch

from counterpoise.data.avmnist.audio import (
    NoiseClips,
    Recording,
    assign,
    divide,
    find_recordings,
    load_speech,
    power_spectrogram,
)
from support.originals import make_fsdd, write_wav


def recordings(speakers=("ada", "ben", "cleo"), indices=range(50), digits=range(10)):
    return [
        Recording(digit, speaker, index, f"{digit}_{speaker}_{index}.wav")
        for digit in digits
        for speaker in speakers
        for index in indices
    ]


def test_recordings_are_found_in_a_folder_or_below_it(tmp_path):
    make_fsdd(tmp_path / "recordings")
    (tmp_path / "recordings" / "notes.txt").touch()
    found = find_recordings(tmp_path)
    assert found == find_recordings(tmp_path / "recordings")
    assert len(found) == 150
    assert (found[-1].digit, found[-1].speaker, found[-1].index) == (9, "cleo", 41)
    assert found[-1].path.name == "9_cleo_41.wav"


def test_a_speakers_name_may_hold_the_separator(tmp_path):
    write_wav(tmp_path / "3_van_dyke_17.wav", torch.arange(5))
    assert find_recordings(tmp_path)[0].speaker == "van_dyke"


@pytest.mark.parametrize("name", ["seven_ada_0.wav", "7_ada.wav", "12_ada_0.wav", "7_ada_x.wav"])
def test_a_recording_with_another_name_is_named(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=f"named digit_speaker_index.wav; found '{name}'. Rename"):
        find_recordings(tmp_path)


def test_a_folder_without_recordings_is_named(tmp_path):
    message = f"recordings digit_speaker_index.wav; found none in {tmp_path}."
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        find_recordings(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        ("recordings", "ben"),
        ("speaker", "ben"),
        ("speaker", "ben", "ada"),
        ("recordings", "", "ada"),
    ],
)
def test_every_recording_is_in_one_part(options):
    parts = divide(recordings(), *options)
    assert sorted(chain.from_iterable(parts.values())) == sorted(recordings())
    for part in parts.values():
        assert {recording.digit for recording in part} == set(range(10))


def test_parts_by_index():
    parts = divide(recordings(), "recordings", "nobody")
    assert {r.index for r in parts["train"]} == set(range(36))
    assert {r.index for r in parts["validation"]} == set(range(36, 40))
    assert {r.index for r in parts["test"]} == set(range(40, 50))


def test_parts_by_speaker():
    parts = divide(recordings(), "speaker", "ben")
    assert {r.speaker for r in parts["test"]} == {"ben"}
    assert {r.speaker for r in parts["train"]} == {"ada", "cleo"}
    assert {r.index for r in parts["train"]} == set(range(45))
    assert {r.index for r in parts["validation"]} == set(range(45, 50))
    parts = divide(recordings(), "speaker", "ben", "cleo")
    assert {part: {r.speaker for r in parts[part]} for part in parts} == {
        "train": {"ada"},
        "validation": {"cleo"},
        "test": {"ben"},
    }


@pytest.mark.parametrize(("number", "kept"), [(1, 0), (2, 1), (7, 1), (16, 2), (36, 4)])
def test_a_tenth_but_at_least_one_is_kept_for_validation(number, kept):
    parts = divide(recordings(["ada"], range(number), [3]), "recordings", "")
    assert [r.index for r in parts["validation"]] == list(range(number - kept, number))


@pytest.mark.parametrize("place", [1, 2])
def test_an_unknown_speaker_is_named_with_the_nearest(place):
    names = ["ben", None]
    names[place - 1] = "cloe"
    option = ["speaker", "validation_speaker"][place - 1]
    message = (
        f"`{option}` should be one of 'ada', 'ben', 'cleo'; found 'cloe'. Did you mean 'cleo'?"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        divide(recordings(), "speaker", *names)


def test_each_row_has_a_recording_of_its_digit_and_turns_are_even():
    labels = torch.randint(10, (997,), generator=torch.Generator().manual_seed(0))
    rows = assign(recordings(indices=range(7)), labels, "train", seed=0)
    assert sorted(torch.cat(list(rows.values())).tolist()) == list(range(997))
    for recording, taken in rows.items():
        assert set(labels[taken].tolist()) == {recording.digit}
        assert taken.tolist() == sorted(taken.tolist())
    for digit in range(10):
        counts = [len(taken) for recording, taken in rows.items() if recording.digit == digit]
        assert max(counts) - min(counts) <= 1
        assert len(counts) == 21
        # In turn: each 21 pairs of a digit have 21 recordings.
        first = (labels == digit).nonzero().squeeze(1)[:21]
        owner = {row: r for r, taken in rows.items() for row in taken.tolist()}
        assert len({owner[row] for row in first.tolist()}) == 21


def test_the_order_of_recordings_depends_on_seed_and_part():
    labels = torch.zeros(3, dtype=torch.uint8)
    candidates = recordings(digits=[0])
    orders = [
        [r for r, taken in sorted(assign(candidates, labels, part, seed).items(),
                                  key=lambda item: item[1].tolist())]
        for part, seed in (("train", 0), ("train", 0), ("test", 0), ("train", 1))
    ]  # fmt: skip
    assert orders[0] == orders[1]
    assert len(orders[0]) == 3
    assert orders[0] != orders[2]
    assert orders[0] != orders[3]


def test_a_missing_digit_is_named_with_its_part():
    with pytest.raises(
        ValueError, match="recordings of every digit for validation; found none of 7"
    ):
        assign(recordings(digits=[1, 2]), torch.tensor([1, 2, 7]), "validation", seed=0)


def test_speech_is_loaded_with_mean_0_and_level_1(tmp_path):
    write_wav(tmp_path / "x.wav", 1000 + 300 * torch.randn(4001))
    speech = load_speech(tmp_path / "x.wav")
    assert speech.shape == (4001,)
    assert speech.dtype is torch.float64
    assert abs(speech.mean()) < 1e-12
    assert float(speech.square().mean()) == pytest.approx(1)


def test_silence_and_another_rate_are_refused(tmp_path):
    write_wav(tmp_path / "x.wav", torch.full((101,), 7))
    with pytest.raises(ValueError, match=r"x\.wav` should hold sound; found only silence. Remove"):
        load_speech(tmp_path / "x.wav")
    write_wav(tmp_path / "x.wav", torch.arange(101), rate=16000)
    with pytest.raises(ValueError, match="should have 8000 samples a second; found 16000"):
        load_speech(tmp_path / "x.wav")


def slow_spectrogram(waveform, size):
    """One window at a time, and the Fourier sum as it is written."""
    length = 2 * size
    power = torch.zeros(size, size, dtype=torch.float64)
    steps = torch.arange(length, dtype=torch.float64)
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * steps / length)
    for column in range(size):
        start = column * (len(waveform) - length) // (size - 1)
        frame = waveform[start : start + length] * window
        for row in range(size):
            angle = 2 * math.pi * (row + 1) * steps / length
            power[row, column] = (frame * angle.cos()).sum() ** 2 + (frame * angle.sin()).sum() ** 2
    decibels = 10 * torch.log10(power / power.max())
    return (255 * (1 + decibels / 80)).clamp(min=0)


@pytest.mark.parametrize(("size", "num_samples"), [(8, 16), (8, 101), (11, 307)])
def test_a_spectrogram_equals_the_sums_that_define_it(size, num_samples):
    waveforms = torch.randn(3, num_samples, dtype=torch.float64)
    found = power_spectrogram(waveforms, size)
    assert found.shape == (3, size, size)
    for one, waveform in zip(found, waveforms, strict=True):
        torch.testing.assert_close(one, slow_spectrogram(waveform, size), atol=1e-8, rtol=0)


def test_a_spectrogram_is_scaled_from_80_decibels_below_its_loudest_point():
    waveforms = torch.randn(5, 501, dtype=torch.float64)
    found = power_spectrogram(waveforms, 13)
    assert torch.equal(found.amax((1, 2)), torch.full((5,), 255.0, dtype=torch.float64))
    assert found.min() >= 0
    torch.testing.assert_close(power_spectrogram(7 * waveforms, 13), found)
    pause = torch.cat([torch.zeros(1, 200).double(), waveforms[:1, :300]], dim=1)
    assert (power_spectrogram(pause, 13)[0, :, :5] == 0).all()


def test_frequency_comes_first_low_to_high_and_time_second():
    steps = torch.arange(400, dtype=torch.float64)
    low, high = torch.sin(steps * math.pi / 8), torch.sin(steps * math.pi / 2)
    found = power_spectrogram(torch.cat([low, high])[None], 16)[0]
    assert found[:, :6].argmax(0).tolist() == [1] * 6  # an eighth of 16 rows
    assert found[:, -6:].argmax(0).tolist() == [7] * 6  # half of them


def test_a_recording_shorter_than_a_window_is_put_in_its_middle():
    click = torch.ones(1, 3, dtype=torch.float64)
    found = power_spectrogram(click, 8)
    assert found.shape == (1, 8, 8)
    assert torch.equal(found, found[:, :, :1].expand(1, 8, 8))
    padded = torch.nn.functional.pad(click, (6, 7))
    assert torch.equal(found, power_spectrogram(padded, 8))


def write_clips(folder, number):
    """Clips at 16 kHz that are told apart by their pitch, with silence at both ends."""
    folder.mkdir(exist_ok=True)
    for k in range(number):
        tone = 5000 * torch.sin(torch.arange(1600) * math.pi * (k + 1) / 80)
        write_wav(folder / f"{k:02}.wav", torch.nn.functional.pad(tone, (50, 950)), rate=16000)
    return folder


@pytest.mark.parametrize("number", [3, 11, 20])
def test_no_clip_of_noise_serves_two_parts(tmp_path, number):
    clips = NoiseClips(write_clips(tmp_path / "noise", number), seed=0)
    seen = {}
    for part in ("train", "validation", "test"):
        pieces = clips.draw(part, (400, 801), torch.Generator().manual_seed(0))
        assert pieces.shape == (400, 801)
        assert pieces.dtype is torch.float64
        torch.testing.assert_close(
            pieces.square().mean(1).sqrt(), torch.ones(400).double(), atol=0.02, rtol=0
        )
        spectrum = torch.fft.rfft(pieces[:, :800]).abs()
        seen[part] = set(spectrum.argmax(1).tolist())  # in steps of a clip's own pitch
    kept = max(1, number // 10)
    assert {part: len(found) for part, found in seen.items()} == {
        "train": number - 2 * kept,
        "validation": kept,
        "test": kept,
    }
    assert len(set().union(*seen.values())) == number


def test_pieces_start_anywhere_and_go_round(tmp_path):
    clips = NoiseClips(write_clips(tmp_path / "noise", 3), seed=0)
    long = clips.draw("test", (1, 3000), torch.Generator().manual_seed(1))[0]
    period = next(p for p in range(700, 900) if torch.equal(long[:1000], long[p : 1000 + p]))
    assert period in (799, 800)  # 0.1 s, at the rate of the speech
    starts = clips.draw("test", (50, 5), torch.Generator().manual_seed(1))[:, 0]
    assert len(Counter(starts.tolist())) > 25


def test_noise_that_cannot_be_used_is_named(tmp_path):
    folder = write_clips(tmp_path / "noise", 2)
    with pytest.raises(ValueError, match=r"at least 3 WAV files, one for each part; found 2 in"):
        NoiseClips(folder, seed=0)
    write_wav(folder / "silent.wav", torch.zeros(10))
    with pytest.raises(ValueError, match=r"silent\.wav` should hold sound; found only silence"):
        NoiseClips(folder, seed=0)
