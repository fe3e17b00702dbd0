"""Pickles from outside: data come back as they were written; programs are refused and never run."""

import collections
import copyreg
import io
import os
import pickle
import struct
import sys

import numpy as np
import pytest

from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.pickles import UnsafePickleError, read_pickle
from counterpoise.data.files.stand_ins import NAMES

DATA = {
    "train": {
        "vision": np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5),
        "fortran": np.asfortranarray(np.arange(7 * 11, dtype=np.int16).reshape(7, 11)),
        "big-endian": np.arange(13, dtype=">f8"),
        "scalar": np.float64(0.1),
        "0-d": np.array(17),
        "empty": np.zeros((0, 3), np.uint8),
        "booleans": np.array([True, False, True]),
        "words": np.array(["née", "joke"]),
        "bytes": np.array([b"abc", b"d"]),
        "objects": np.array([["a", 1], None], dtype=object),
        "half": np.array([1.5, -np.inf], np.float16),
    },
    "ids": ["a", b"b\xff", bytearray(b"c"), 3, -5, 2**70, 0.5, None, True, (1, (2, 3))],
    "set": {1, 2},
    "ordered": collections.OrderedDict([("x", 1), ("y", 2)]),
    "empty": [b"", "", (), [], {}, set()],
}


def same(found, expected):
    if isinstance(expected, (np.ndarray, np.generic)) and expected.shape != ():
        assert isinstance(found, np.ndarray)
        assert found.dtype == expected.dtype.newbyteorder("=")
        assert found.shape == expected.shape
        assert found.flags.writeable
        assert found.flags.f_contiguous == expected.flags.f_contiguous
        return found.tolist() == expected.tolist()
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        return all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, np.generic):
        return type(found) is type(expected.item()) and found == expected
    return found == expected and (type(found) is type(expected) or isinstance(expected, np.ndarray))


def write(tmp_path, content):
    path = tmp_path / "data.pkl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("core", [b"numpy._core", b"numpy.core"])
def test_data_come_back_as_they_were_written(tmp_path, protocol, core):
    # Long names come with their length in protocol 4 and 5, so that they are rewritten whole.
    content = pickle.dumps(DATA, protocol)
    if core == b"numpy.core":
        content = as_numpy_1(content, protocol)
    found = read_pickle(write(tmp_path, content))
    assert list(found) == list(DATA)
    assert same(found["train"], DATA["train"])
    assert same(
        {key: found[key] for key in ("ids", "set", "empty")},
        {key: DATA[key] for key in ("ids", "set", "empty")},
    )
    assert found["ordered"] == dict(DATA["ordered"])


def as_numpy_1(content, protocol):
    """Replace the names of NumPy 2 by those of NumPy 1."""
    if protocol < 4:
        return content.replace(b"cnumpy._core.", b"cnumpy.core.")
    for module in (b"numpy._core.multiarray", b"numpy._core.numeric"):
        old = module.replace(b"_core", b"core")
        content = content.replace(
            b"\x8c" + bytes([len(module)]) + module, b"\x8c" + bytes([len(old)]) + old
        )
    frame = content.index(b"\x95")  # the length of the frame, if there is one, has changed
    return content[:frame] + content[frame + 9 :] if content.count(b"\x95") == 1 else content


def test_what_is_shared_stays_shared(tmp_path):
    row = np.arange(3)
    content = [row, {"again": row}, ("in a tuple", row)]
    content.append(content)
    found = read_pickle(write(tmp_path, pickle.dumps(content)))
    assert found[0] is found[1]["again"] is found[2][1]
    assert found[3] is found


# {'ids': ['a\xe9'], 'x': array([[1., 2.]], '<f4')} as cPickle of Python 2.7 writes it, protocol 2
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x03idsq\x02]q\x03U\x02a\xe9aU\x01xq\x04"
    b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07"
    b"(K\x01K\x01K\x02\x86cnumpy\ndtype\nq\x08U\x02f4K\x00K\x01\x87Rq\t"
    b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    b"\x89U\x08\x00\x00\x80?\x00\x00\x00@tbu."
)


def test_a_pickle_of_python_2_is_read_as_latin_1(tmp_path):
    found = read_pickle(write(tmp_path, PYTHON_2))
    assert found["ids"] == ["aé"]
    assert found["x"].tolist() == [[1.0, 2.0]]
    assert found["x"].dtype == np.float32


def test_a_python_2_ordered_dictionary_and_scalar(tmp_path):
    content = b"ccollections\nOrderedDict\n((lp1\n(lp2\nS'a'\naI5\naatR."  # OrderedDict([['a', 5]])
    assert read_pickle(write(tmp_path, content)) == {"a": 5}
    content = (
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'i8'\nI0\nI1\ntR"
        b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbS'\\x07\\x00\\x00\\x00\\x00\\x00\\x00\\x00'\ntR."
    )
    assert read_pickle(write(tmp_path, content)) == 7


class Calls:
    """What pickles as a call of anything."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


def name(module, attribute):
    return short(module) + short(attribute) + b"\x93"


def dtype(code, state=b"", module="numpy"):
    return name(module, "dtype") + short(code) + b"\x89\x88\x87R" + state


def state(*values):
    """The state of a dtype: pickled values in a tuple, and BUILD."""
    return b"(" + b"".join(pickle.dumps(v, 2)[2:-1] for v in values) + b"tb"


def array(dtype_code, shape, content):
    return (
        name("numpy._core.numeric", "_frombuffer")
        + b"("
        + pickle.dumps(content, 4)[11:-1]
        + dtype_code
        + pickle.dumps(shape, 2)[2:-1]
        + short("C")
        + b"tR"
    )


NORMAL = (3, "<", None, None, None, -1, -1, 0)
RECONSTRUCT = name("numpy._core.multiarray", "_reconstruct")
START = RECONSTRUCT + name("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"


def attacks(marker):
    """Each kind by name: bytes that run something, or corrupt memory, where pickle.load is used."""
    command = f"touch {marker}"
    yield "os.system", pickle.dumps(Calls(os.system, command))
    yield "os.system at protocol 0", pickle.dumps(Calls(os.system, command), 0)
    yield "eval", pickle.dumps(Calls(eval, f"open({str(marker)!r}, 'w')"))
    yield "exec of Python 2", f"c__builtin__\nexec\n(S\"open('{marker}', 'w')\"\ntR.".encode()
    yield "getattr", pickle.dumps(Calls(getattr, "text", "join"))
    yield "import", pickle.dumps(Calls(__import__, "this"))
    yield "nested", pickle.dumps({"train": [{"labels": (1, [Calls(os.system, command)])}]})
    yield "within an array", pickle.dumps(np.array([Calls(os.system, command)], dtype=object))
    yield "a dotted name", b"\x80\x04" + name("numpy", "dtype.__class__") + b"."
    yield "a submodule", b"\x80\x04" + name("numpy", "os.system") + short(command) + b"\x85R."
    yield "numpy.load", b"\x80\x04" + name("numpy", "load") + short(str(marker)) + b"\x85R."
    yield "functools.partial", b"\x80\x04" + name("functools", "partial") + b"."
    yield "operator", b"\x80\x04" + name("operator", "attrgetter") + short("x") + b"\x85R."
    yield "INST", f"(S'{command}'\niposix\nsystem\n.".encode()
    yield "OBJ", f"(cposix\nsystem\nS'{command}'\no.".encode()
    yield "NEWOBJ", b"\x80\x04" + name("builtins", "set") + b")\x81."
    yield "persistent id", b"Pmodel\n."
    yield "binary persistent id", b"\x80\x02U\x01aQ."
    yield "extension code", b"\x80\x02\x82\x01."
    yield "next buffer", b"\x80\x05\x97."
    yield "datetime type", b"\x80\x04" + dtype("M8") + b"."
    yield "void type", b"\x80\x04" + dtype("V8") + b"."
    yield (
        "structured type",
        b"\x80\x04" + dtype("f8", state(3, "|", None, ("a",), {"a": (1, 0)}, 8, 1, 0)) + b".",
    )
    yield (
        "sub-array type",
        b"\x80\x04" + dtype("f8", state(3, "|", ("f8", (2,)), None, None, 8, 1, 0)) + b".",
    )
    yield (
        "item size that lies",
        b"\x80\x04" + dtype("f8", state(3, "<", None, None, None, 1 << 20, 1, 0)) + b".",
    )
    yield "state of an array", b"\x80\x04" + START + state(1, (2,)) + b"."
    yield (
        "shape that lies",
        b"\x80\x04" + array(dtype("f8", state(*NORMAL)), (1 << 40,), b"12345678") + b".",
    )
    yield "negative shape", b"\x80\x04" + array(dtype("u1", b""), (-1, -4), b"1234") + b"."
    yield "objects from bytes", b"\x80\x04" + array(dtype("O8"), (1,), b"\x41" * 8) + b"."
    yield "characters beyond Unicode", b"\x80\x04" + array(dtype("U1"), (1,), b"\xff" * 4) + b"."
    yield "an array without a state", b"\x80\x04" + START + b"."
    yield "a class of its own", b"\x80\x04" + RECONSTRUCT + short("dict") + b"K\x00\x85C\x01b\x87R."
    yield "a state for a function", b"\x80\x04" + name("_codecs", "encode") + b"}b."
    yield (
        "a slot state for a function",
        (b"\x80\x04" + name("_codecs", "encode") + b"N}" + short("__doc__") + b"K\x01s\x86b."),
    )
    yield "a function as a value", b"\x80\x04" + name("_codecs", "encode") + b"."
    yield "a type as a value", b"\x80\x04" + dtype("f8") + b"."
    yield "bytes by the gigabyte", pickle.dumps(Calls(bytes, 1 << 34))
    yield "another codec", b"\x80\x04" + name("_codecs", "encode") + b"U\x02abU\x04zlib\x86R."
    yield (
        "a dictionary of no pairs",
        (b"\x80\x04" + name("collections", "OrderedDict") + b"]" + short("ab") + b"a\x85R."),
    )
    yield "a set of a string", b"\x80\x04" + name("builtins", "set") + short("ab") + b"\x85R."
    yield "an array as a key", b"\x80\x04}" + array(dtype("u1"), (1,), b"1") + b"Ns."
    yield "containers without end", b"]" * 5000 + b"a" * 4999 + b"."


ATTACKS = [kind for kind, _ in attacks("")]


@pytest.mark.parametrize("kind", ATTACKS)
def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path, kind):
    marker = tmp_path / "ran"
    path = write(tmp_path, dict(attacks(marker))[kind])
    documented = {key: value.__doc__ for key, value in NAMES.items()}
    with pytest.raises(UnsafePickleError, match=r"`.*data\.pkl` should be a pickle of data alone"):
        read_pickle(path)
    assert not marker.exists()
    assert {key: value.__doc__ for key, value in NAMES.items()} == documented


def test_a_registered_extension_is_refused(tmp_path):
    copyreg.add_extension("os", "system", 241)
    try:
        pickle.loads(b"\x80\x02\x82\xf1.")  # now in a cache that no find_class sees
        with pytest.raises(UnsafePickleError, match="found the instruction EXT1"):
            read_pickle(write(tmp_path, b"\x80\x02\x82\xf1U\x04true\x85R."))
    finally:
        copyreg.remove_extension("os", "system", 241)


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (b"", "pickle exhausted before seeing STOP"),
        (b"no pickle at all", "."),
        (pickle.dumps(DATA)[:-40], "."),
        (pickle.dumps(DATA) + b"more", "more after its end"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "2147483647 as the number of object 0"),
        (b"\x80\x05\x8e" + struct.pack("<Q", 1 << 60) + b"abc.", "expected 1152921504606846976 b"),
        (b"\x80\x02K\x01K\x02\x86b.", "."),
        (b"\x80\x02}]K\x01s.", "unhashable"),
    ],
)
def test_a_file_that_is_no_whole_pickle_is_named(tmp_path, content, trouble):
    message = rf"`.*data\.pkl` should be a whole pickle; found {len(content)} bytes .*{trouble}"
    with pytest.raises(CorruptFileError, match=message):
        read_pickle(write(tmp_path, content))


def test_a_stub_of_git_lfs_says_what_to_do(tmp_path):
    path = write(tmp_path, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(CorruptFileError, match=r"found the stub that git-lfs puts.*git lfs pull"):
        read_pickle(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`.*none\.pkl` should be a file; found nothing"):
        read_pickle(tmp_path / "none.pkl")


def test_a_length_that_lies_takes_no_memory(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for content in (
        b"\x80\x02]r\xff\xff\xff\x0f.",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 33) + b"].",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 33) + b"].",
    ):
        with pytest.raises(CorruptFileError, match="should be a whole pickle"):
            read_pickle(write(tmp_path, content))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 100_000 * (1024 if sys.platform == "darwin" else 1)


def test_a_large_file_is_read_as_its_streams_come(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, 3_000_017, dtype=np.uint8)
    buffer = io.BytesIO()
    pickle.Pickler(buffer, 4).dump({"values": values, "twice": [values]})
    found = read_pickle(write(tmp_path, buffer.getvalue()))
    assert np.array_equal(found["values"], values)
    assert found["twice"][0] is found["values"]
