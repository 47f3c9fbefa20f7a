"""The members of tar archives, against Python's own `tarfile`, and what no archiver would write."""

from __future__ import annotations

import contextlib
import io
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tar_files import header, octal

from hubel.core.errors import DataError
from hubel.data.sources.tar import Member, tar_members

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
END = bytes(1024)


def found(data: bytes) -> list[Member]:
    return list(tar_members(io.BytesIO(data), "a.tar"))


def why(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        found(data)
    text = str(caught.value)
    assert text.startswith("a.tar")
    assert "\n" not in text
    return text


def written(entries: list[tuple[str, int, bytes]], form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, size, kind in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, size if kind == tarfile.REGTYPE else 0
            info.linkname = "target" if kind in (tarfile.LNKTYPE, tarfile.SYMTYPE) else ""
            tar.addfile(info, io.BytesIO(bytes(size)))
    return buffer.getvalue()


KINDS = (
    tarfile.REGTYPE,
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.DIRTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda n: n.strip("/")
)


@given(
    st.lists(st.tuples(NAMES, st.integers(0, 1500), st.sampled_from(KINDS), st.sampled_from([1, 3, 40])), max_size=6),
    st.sampled_from(FORMATS[1:]),
)
def test_as_tarfile_reads_it(drawn: list[tuple[str, int, bytes, int]], form: int) -> None:
    data = written([("/".join([name.strip("/")] * often), size, kind) for name, size, kind, often in drawn], form)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [(m.name, m.offset_data, m.size, m.isreg()) for m in tar if not m.isdir()]
    got = found(data)
    assert [(m.name, m.offset, m.size) for m in got] == [e[:3] for e in expected]
    assert all(m.refused for m, e in zip(got, expected, strict=True) if not e[3])


@pytest.mark.parametrize("form", FORMATS)
def test_long_names(form: int) -> None:
    names = ["a/" * 60 + "x" * 30 + ".jpg"]
    names += [] if form == tarfile.USTAR_FORMAT else ["b" * 300 + ".jpg", "ü" * 120 + ".jpg"]
    got = found(written([(name, 7, tarfile.REGTYPE) for name in names], form))
    assert [(m.name, m.size, m.refused) for m in got] == [(name, 7, "") for name in names]


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("/etc/passwd.jpg", b"0", "its path is absolute"),
        ("C:/x.jpg", b"0", "its path is absolute"),
        ("\\\\host\\x.jpg", b"0", "its path is absolute"),
        ("../x.jpg", b"0", "its path leads upwards"),
        ("a/../../x.jpg", b"0", "its path leads upwards"),
        ("a\\..\\x.jpg", b"0", "its path leads upwards"),
        ("x.jpg", b"1", "a hard link"),
        ("x.jpg", b"2", "a symbolic link"),
        ("x.jpg", b"3", "a device"),
        ("x.jpg", b"4", "a device"),
        ("x.jpg", b"6", "a pipe"),
        ("x.jpg", b"M", "a part of a file that began in another volume"),
        ("x.jpg", b"S", "a sparse file"),
        ("x.jpg", b"Q", "an entry of the unknown kind 'Q'"),
        ("a..b/x..jpg", b"0", ""),
        ("x.jpg", b"7", ""),
        ("x.jpg", b"\0", ""),
    ],
)
def test_refused_entries(name: str, kind: bytes, reason: str) -> None:
    data = header(name.encode(), octal(0), kind, link=b"/etc/passwd") + header(b"next.jpg", octal(0), b"0") + END
    assert [(m.name, m.refused) for m in found(data)] == [(name, reason), ("next.jpg", "")]


def test_folders_and_labels_of_volumes_are_no_members() -> None:
    data = b"".join(header(b"x/", octal(0), kind) for kind in (b"5", b"D", b"\0", b"V"))
    assert found(data + END) == []


def test_sizes_of_entries_without_data_count_for_nothing() -> None:
    data = header(b"x", octal(2**30), b"2") + header(b"y", octal(2**30), b"5") + header(b"z.jpg", octal(0), b"0") + END
    assert [m.name for m in found(data)] == ["x", "z.jpg"]


def test_sparse_files_of_either_kind() -> None:
    """A map of holes that goes on in two more blocks; and the attributes that pax has for the same."""
    first = bytearray(header(b"s.jpg", octal(512), b"S"))
    first[482] = 1
    first[148:156] = b" " * 8
    first[148:156] = b"%06o\0 " % sum(first)
    more = bytes(504) + b"\1" + bytes(7)
    old = bytes(first) + more + bytes(512) + b"x" * 512
    record = b"22 GNU.sparse.major=1\n"
    pax = header(b"p", octal(len(record)), b"x") + record.ljust(512, b"\0") + header(b"t.jpg", octal(0), b"0")
    got = found(old + pax + header(b"next.jpg", octal(0), b"0") + END)
    assert [(m.name, m.refused) for m in got] == [
        ("s.jpg", "a sparse file"),
        ("t.jpg", "a sparse file"),
        ("next.jpg", ""),
    ]
    assert "cut short: the map of a sparse file" in why(bytes(first))


def test_huge_sizes_cost_nothing() -> None:
    assert "cut short: x.jpg ends at byte 8,589,935,103" in why(header(b"x.jpg", b"77777777777\0", b"0") + END)
    assert "cut short: x.jpg ends at byte" in why(header(b"x.jpg", b"\x80" + b"\xff" * 11, b"0") + END)
    for kind in (b"L", b"x", b"g"):
        assert "cut short: a header ends" in why(header(b"x", octal(2**32), kind) + END)
    big = 2**20 + 1
    assert "a header of 1,048,577 bytes; expected at most 1,048,576" in why(
        header(b"x", octal(big), b"L") + bytes(2 * big)
    )
    record = b"28 size=999999999999999999\n "
    assert "no records of pax" in why(header(b"p", octal(len(record)), b"x") + record.ljust(512, b"\0") + END)
    record = b"27 size=999999999999999999\n"
    entry = header(b"p", octal(len(record)), b"x") + record.ljust(512, b"\0") + header(b"t.jpg", octal(0), b"0")
    assert "cut short: t.jpg ends at byte 1,000,000,000,000,001," in why(entry + END)


@pytest.mark.parametrize("size", [b"\xff" * 12, b"-1\0", b"0x10\0", b"9\0"])
def test_sizes_that_are_none(size: bytes) -> None:
    assert "is no number in octal digits" in why(header(b"x.jpg", size, b"0") + END)


@pytest.mark.parametrize(
    "records",
    [b"x", b"5 a=b", b"99 path=x\n", b"0 path=x\n", b"9 path=xy\n", b"11 size=-1\n", b"11 size=1e\n", b"8 size=\n"],
)
def test_attributes_that_are_none(records: bytes) -> None:
    data = header(b"p", octal(len(records)), b"x") + records.ljust(512, b"\0") + header(b"t.jpg", octal(0), b"0") + END
    assert "damaged at byte 0" in why(data)


def test_a_name_with_a_zero_byte() -> None:
    record = b"14 path=a\0.jpg\n"
    record = b"%d" % len(record) + record[2:]
    data = header(b"p", octal(len(record)), b"x") + record.ljust(512, b"\0") + header(b"t.jpg", octal(0), b"0") + END
    assert found(data)[0].refused == "its path holds a zero byte"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x1f\x8b" + bytes(600), "compressed by gzip; expected a plain tar archive"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "compressed by zstd"),
        (b"BZh9" + bytes(600), "compressed by bzip2"),
        (b"\xfd7zXZ" + bytes(600), "compressed by xz"),
        (b"PK\3\4" * 200, "is no tar archive: expected a header with a correct checksum"),
        (b"abc", "cut short: it ends inside a header, at byte 3"),
        (header(b"a", octal(0), b"0") + b"x" * 512, "is damaged at byte 512"),
    ],
)
def test_files_that_are_no_archive(data: bytes, text: str) -> None:
    assert text in why(data)


def test_the_end() -> None:
    one = header(b"a", octal(0), b"0")
    assert found(bytes(10240)) == []
    for end in (bytes(512), END, END + b"anything"):
        assert len(found(one + end)) == 1
    for data in (b"", one, one + one, header(b"a", octal(3), b"0") + b"abc"):
        assert f"cut short: expected blocks of zeros at its end, and it ends at byte {len(data):,}" in why(data)


@pytest.mark.parametrize("form", FORMATS)
def test_damage_is_an_error_or_nothing(form: int) -> None:
    whole = written(
        [(f"folder/{i}.jpg", 700 * i, tarfile.REGTYPE) for i in range(4)] + [("l", 0, tarfile.SYMTYPE)], form
    )
    luck = random.Random(0)
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(luck.randint(1, 4)):
            data[luck.randrange(len(data))] = luck.randrange(256)
        cut = luck.randrange(len(data)) if luck.random() < 0.3 else len(data)
        with contextlib.suppress(DataError):  # whatever else is raised fails the test
            assert all(m.offset + m.size <= cut for m in found(bytes(data[:cut])) if not m.refused)


def test_an_archive_of_gnu_tar(tmp_path: Path) -> None:
    """The program itself, where there is one."""
    import shutil
    import subprocess

    tar = shutil.which("tar")
    if tar is None:
        pytest.skip("needs the program tar")
    for name in ("a/b/1.jpg", "long/" * 30 + "2.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        (tmp_path / "in" / name).write_bytes(name.encode())
    subprocess.run([tar, "cf", tmp_path / "a.tar", "-C", tmp_path / "in", "."], check=True, timeout=60)
    with (tmp_path / "a.tar").open("rb") as file:
        got = {m.name: (m.offset, m.size) for m in tar_members(file, "a.tar")}
        assert sorted(got) == ["./a/b/1.jpg", "./" + "long/" * 30 + "2.jpg"]
        for name, (offset, size) in got.items():
            file.seek(offset)
            assert file.read(size).decode() == name.removeprefix("./")
