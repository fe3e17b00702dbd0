"""Small files of UR-Funny and CMU-MOSEI in their true formats, whose values tell the label."""

import pickle

import numpy as np

SIZES = {"text": 13, "audio": 5, "vision": 7}
LENGTH = 11


def samples(number, seed=0):
    """Sequences padded in front, with lengths from 2 to T; mean 1 apart between two classes."""
    draw = np.random.default_rng(seed)
    labels = np.arange(number) % 2
    lengths = draw.integers(2, LENGTH + 1, number)
    values = {}
    for name, size in SIZES.items():
        value = draw.normal(0, 0.3, (number, LENGTH, size)) + (labels - 0.5)[:, None, None]
        value[np.arange(LENGTH) < LENGTH - lengths[:, None]] = 0
        values[name] = value.astype(np.float32)
    return values, labels, lengths


def humor(number=23, seed=0):
    """What ``humor.pkl`` holds: one sample without words, minus infinity in the sound."""
    content = {}
    for place, part in enumerate(("train", "valid", "test")):
        values, labels, _ = samples(number, seed + place)
        values["text"][3] = 0
        values["audio"][5, -1, 2] = -np.inf
        content[part] = {
            **values,
            "labels": labels.reshape(-1, 1) * 2 - 1,  # -1 and 1
            "id": np.array([f"{part}-{each}".encode() for each in range(number)]),
        }
    return content


def write_pickle(path, content, protocol=4):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def make_ur_funny(folder, number=7, extra_labels=2):
    """The six pickles of version 2; word 0 has a vector that is not zero."""
    draw = np.random.default_rng(0)
    vectors = draw.normal(0, 1, (31, SIZES["text"])).tolist()
    folds, language, audio, vision, labels = {}, {}, {}, {}, {}
    identity = 0
    for part in ("train", "dev", "test"):
        folds[part] = []
        for place in range(number):
            steps, before = 3 + place, 2
            language[identity] = {
                "punchline_embedding_indexes": draw.integers(0, 31, steps).tolist(),
                "context_embedding_indexes": [draw.integers(0, 31, before).tolist()],
                "punchline_sentence": "so it goes",
                "context_sentences": ["and then"],
                "intervals": [],
            }
            for content, name in ((audio, "audio"), (vision, "vision")):
                content[identity] = {
                    "punchline_features": draw.normal(place % 2, 0.2, (steps, SIZES[name])),
                    "context_features": [draw.normal(0, 1, (before, SIZES[name]))],
                }
            labels[identity] = place % 2
            folds[part].append(identity)
            identity += 1
    labels |= {identity + each: 0 for each in range(extra_labels)}
    contents = {
        "data_folds.pkl": folds,
        "language_sdk.pkl": language,
        "covarep_features_sdk.pkl": audio,
        "openface_features_sdk.pkl": vision,
        "word_embedding_list.pkl": vectors,
        "humor_label_sdk.pkl": labels,
    }
    for name, content in contents.items():
        write_pickle(folder / name, content, protocol=2)
    return folder


SENTIMENT = np.array([-2.6, 0.0, 1.4, -0.5, 3.0, -3.0, 0.4], np.float64)


def mosei(number=21, form="aligned"):
    """What ``mosei_senti_data.pkl`` or, with form "mmsa", ``aligned_50.pkl`` holds."""
    content = {}
    for place, part in enumerate(("train", "valid", "test")):
        values, _, _ = samples(number, place)
        sentiment = np.resize(SENTIMENT, number)
        values = {name: value + sentiment[:, None, None] for name, value in values.items()}
        values["audio"][2, 3, 1] = -np.inf
        if form == "aligned":
            labels = {"labels": sentiment.reshape(-1, 1, 1)}
            ids = [[f"v{each}".encode(), b"0.0", b"1.5"] for each in range(number)]
        else:
            labels = {
                "regression_labels": sentiment,
                "classification_labels": np.sign(sentiment),
                "annotations": ["Neutral"] * number,
                "raw_text": np.array(["so it goes"] * number, dtype=object),
                "text_bert": np.zeros((number, 3, 5), np.float32),
                "audio_lengths": [LENGTH] * number,
                "vision_lengths": [LENGTH] * number,
            }
            ids = [f"v{each}$_$0" for each in range(number)]
        content[part] = {**values, **labels, "id": np.array(ids)}
    return content


WORDS = ("well", "good", "bad", "film", "né")


def make_mels(folder, number=9, missing=1):
    """The paper's own files, and vectors of all words but the last."""
    draw = np.random.default_rng(0)
    for part in ("train", "valid", "test"):
        keys = [f"video{each}[{each % 3}]" for each in range(number)]
        steps = {key: 2 + place for place, key in enumerate(keys)}
        contents = {
            "sentences": {
                key: [WORDS[(place + each) % 5] for each in range(steps[key])]
                for place, key in enumerate(keys)
            },
            "mels": {key: draw.normal(0, 1, (3 * steps[key], 17)) for key in keys[missing:]},
            "sentiment": {key: float(SENTIMENT[place % 7]) for place, key in enumerate(keys)},
            "emotion": {key: [0.0] * 6 for key in keys},
        }
        for kind, content in contents.items():
            write_pickle(folder / f"{part}_{kind}.p", content)
    lines = [f"{word} {place} {2 * place} {-place}" for place, word in enumerate(WORDS[:-1], 1)]
    lines.append("unused 1 2 broken")
    (folder / "glove.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
