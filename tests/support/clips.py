"""Small clips in their true formats, whose colour and pitch tell the class."""

import wave

import av
import numpy as np

RATE = 16_000
HEIGHT, WIDTH = 72, 96


def tone(pitch, seconds, rate=RATE, seed=0):
    steps = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.02, len(steps))
    return (0.4 * np.sin(2 * np.pi * pitch * steps) + noise).astype(np.float32)


def write_wav(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())


def pictures(colour, number, seed=0, size=(HEIGHT, WIDTH)):
    """Pictures of one colour, with a bright column that moves and a little noise."""
    draw = np.random.default_rng(seed)
    for frame in range(number):
        picture = draw.integers(0, 20, (*size, 3), dtype=np.uint8) + np.asarray(colour, np.uint8)
        picture[:, frame % size[1]] = 255
        yield picture


def write_video(path, frames, samples=None, rate=44_100, fps=30, codecs=("flv1", "libmp3lame")):
    """Write flv (flv1 and mp3) or mp4 (h264 and aac)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = list(frames)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codecs[0].replace("flv1", "flv"), rate=fps)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        video.bit_rate = 4_000_000
        sound = None
        if samples is not None:
            sound = container.add_stream(codecs[1], rate=rate)
            sound.layout = "mono"
        for picture in frames:
            for packet in video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in video.encode():
            container.mux(packet)
        if sound is not None:
            frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            frame.sample_rate = rate
            for each in (frame, None):
                for packet in sound.encode(each):
                    container.mux(packet)


EMOTIONS = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
STUB = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 81324\n"


def stems(num_actors, emotions=EMOTIONS):
    return [
        f"{1001 + actor}_IEO_{emotion}_XX" for actor in range(num_actors) for emotion in emotions
    ]


def make_crema_d(root, num_actors=5, derived=False, tables=True, short=0.75):
    """CREMA-D: one sentence of each actor in each emotion; the last actor's clips are the test.

    The first clip is silent, the second lasts ``short`` seconds.
    """
    names = stems(num_actors)
    for place, stem in enumerate(names):
        emotion = EMOTIONS.index(stem.split("_")[2])
        samples = tone(300 + 400 * emotion, short if place == 1 else 1.31, seed=place)
        folder = "Audio" if derived else "AudioWAV"
        write_wav(root / folder / f"{stem}.wav", samples * (place > 0))
        colour = (30 * emotion, 200 - 30 * emotion, 40 + 20 * emotion)
        if derived:
            write_pictures(root / "Image-01-FPS" / stem, pictures(colour, 3, seed=place))
        else:
            write_video(
                root / "VideoFlash" / f"{stem}.flv",
                pictures(colour, 37, seed=place),
                tone(440, 1.2, 44_100),
            )
    if tables:
        write_tables(root / "CREMAD" if derived else root, names, 6)
    return root


def write_pictures(folder, frames):
    from PIL import Image

    folder.mkdir(parents=True)
    for second, picture in enumerate(frames):
        Image.fromarray(picture).save(folder / f"{29 * second:05d}.jpg", quality=95)


def write_tables(folder, names, num_test):
    """Write train.csv with a byte-order mark and test.csv without, both with CRLF."""
    folder.mkdir(exist_ok=True)
    for part, rows in (("train", names[:-num_test]), ("test", names[-num_test:])):
        lines = "".join(f"{stem},{stem.split('_')[2]}\r\n" for stem in rows)
        mark = b"\xef\xbb\xbf" if part == "train" else b""
        (folder / f"{part}.csv").write_bytes(mark + lines.encode())
