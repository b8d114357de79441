"""`embed`: where texts come from, which embedder, where vectors go."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from llm_multi_core.embedder import create_text_embedder


def vectors(*texts, framework="fake", role=None, **settings):
    with create_text_embedder(framework, **settings) as embedder:
        return embedder.embed_batch(list(texts), role)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]  # which would split at U+2028 as well


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes("one\r\nzwei Wörter\n\nfour\u2028is one line\n  five ".encode())
    return path


NOTES = ["one", "zwei Wörter", "", "four\u2028is one line", "  five "]

# Texts and their source.


def test_arguments(run, fake_framework):
    result = run("embed", "--framework", "fake", "a", "-", "/etc/hosts")
    assert result.exit_code == 0
    assert [line["text"] for line in lines(result.stdout)] == ["a", "-", "/etc/hosts"]
    assert [line["index"] for line in lines(result.stdout)] == [0, 1, 2]
    np.testing.assert_array_equal(
        np.asarray([line["embedding"] for line in lines(result.stdout)], np.float32), vectors("a", "-", "/etc/hosts")
    )
    assert all("error" not in line for line in lines(result.stdout))
    assert result.stderr.startswith("report: 3 items ")
    assert result.stderr.endswith("; 8 dimensions, to standard output\n")
    assert result.stderr.count("\n") == 1


def test_lines_of_a_file(run, fake_framework, notes):
    result = run("embed", "--framework", "fake", "-f", notes)
    assert [line["text"] for line in lines(result.stdout)] == NOTES
    assert "note: empty lines: 1; each has a vector like any other, unless --skip-empty leaves it out" in result.stderr


def test_empty_lines_left_out(run, fake_framework, notes):
    result = run("embed", "--framework", "fake", "-f", notes, "--skip-empty")
    assert [line["text"] for line in lines(result.stdout)] == [text for text in NOTES if text]
    assert [line["index"] for line in lines(result.stdout)] == [0, 1, 2, 3]
    assert "note: empty lines: 1; left out" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["-f", "-"], ["--file", "-"]])
def test_standard_input(run, fake_framework, arguments):
    result = run("embed", "--framework", "fake", *arguments, stdin="uno\ndos\n")
    assert [line["text"] for line in lines(result.stdout)] == ["uno", "dos"]


def test_everything_at_once_in_order(run, fake_framework, notes, tmp_path):
    other = tmp_path / "other.txt"
    other.write_bytes(b"\xef\xbb\xbfmarked\n")
    result = run("embed", "first", "--framework", "fake", "-f", other, "-f", "-", "-f", notes, stdin="piped")
    assert [line["text"] for line in lines(result.stdout)] == ["first", "marked", "piped", *NOTES]


def test_a_named_pipe(start, tmp_path):
    import os

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start("embed", "--framework", "fake", "-f", pipe)
    pipe.write_text("through\na pipe\n")
    output, _ = process.communicate()
    assert [line["text"] for line in lines(output.decode())] == ["through", "a pipe"]


# Which embedder.


def test_the_settings_arrive(run, fake_framework):
    result = run(
        *("embed", "--framework", "llm-multi-core-fake/fake", "--model", "big", "--option", "dimension=32"),
        *("--option", "roles=yes", "--role", "query", "--no-normalize", "--batch-size", "1", "a", "b"),
    )
    assert "2 requests" in result.stderr
    expected = vectors("a", "b", role="query", model="big", dimension=32, roles=True, normalize=False)
    assert expected.shape == (2, 32)
    found = np.asarray([line["embedding"] for line in lines(result.stdout)], np.float32)
    np.testing.assert_array_equal(found, expected)


def test_dimensions(run, fake_framework):
    result = run("embed", "--framework", "fake", "--dimensions", "4", "a")
    assert len(lines(result.stdout)[0]["embedding"]) == 4


def test_hosted(run, fake_framework):
    result = run("embed", "--framework", "fake-hosted", "a", "b")
    np.testing.assert_array_equal(
        np.asarray([line["embedding"] for line in lines(result.stdout)], np.float32),
        vectors("a", "b", framework="fake-hosted"),
    )


@pytest.mark.parametrize(
    ("truncation", "warned", "code"),
    [("warn", True, 0), ("truncate", False, 0), ("mean", False, 0), ("error", False, 2)],
)
def test_truncation(run, fake_framework, truncation, warned, code):
    long = " ".join("word" for _ in range(20))
    result = run("embed", "--framework", "fake", "--truncation", truncation, "short", long)
    assert result.exit_code == code
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == warned
    if warned:
        assert warnings[0].startswith("warning: 1 of 2 inputs were cut to the 16 words")
    assert ("1 truncated" in result.stderr) is (truncation in {"warn", "truncate"})


# Where vectors go.


@pytest.mark.parametrize("name", ["out.jsonl", "out.ndjson", "OUT.JSONL"])
def test_json_lines_in_a_file(run, fake_framework, notes, tmp_path, name):
    result = run("embed", "--framework", "fake", "-f", notes, "-o", tmp_path / name)
    assert (result.exit_code, result.stdout) == (0, "")
    found = (tmp_path / name).read_text(encoding="utf-8")
    assert found.endswith("}\n")
    assert [line["text"] for line in lines(found)] == NOTES
    assert "zwei Wörter" in found
    assert f"to {tmp_path / name}" in result.stderr


def test_npy_in_a_file(run, fake_framework, notes, tmp_path):
    result = run("embed", "--framework", "fake", "-f", notes, "-o", tmp_path / "out.npy")
    assert result.exit_code == 0
    found = np.load(tmp_path / "out.npy", allow_pickle=False)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, vectors(*NOTES))
    assert (tmp_path / "out.npy").stat().st_mode & 0o777 == (notes.stat().st_mode & 0o777)


def test_the_format_asked_for_wins(run, fake_framework, tmp_path):
    assert run("embed", "--framework", "fake", "a", "-o", tmp_path / "out.bin", "--format", "npy").exit_code == 0
    assert np.load(tmp_path / "out.bin").shape == (1, 8)


def test_npy_into_a_pipe_and_a_redirection(start, tmp_path):
    with (tmp_path / "out").open("wb") as file:
        assert start("embed", "--framework", "fake", "a", "b", "--format", "npy", stdout=file).wait() == 0
    assert np.load(tmp_path / "out").shape == (2, 8)
    output, _ = start("embed", "--framework", "fake", "a", "b", "--format", "npy").communicate()
    assert output == (tmp_path / "out").read_bytes()


def test_npy_is_not_written_to_a_terminal(on_terminal):
    code, seen, errors = on_terminal("embed", "--framework", "fake", "a", "--format", "npy")
    assert (code, seen) == (2, "")
    assert errors.startswith("error: npy is binary: redirect standard output, or name a file with --output")


def test_overwriting_keeps_what_a_link_points_to(run, fake_framework, tmp_path):
    target, link = tmp_path / "target.npy", tmp_path / "link.npy"
    target.write_bytes(b"old")
    link.symlink_to(target)
    assert run("embed", "--framework", "fake", "a", "-o", link).exit_code == 2
    assert run("embed", "--framework", "fake", "a", "-o", link, "--overwrite").exit_code == 0
    assert link.is_symlink()
    assert np.load(target).shape == (1, 8)


def test_a_device_is_written_to_and_not_replaced(start, tmp_path):
    import os

    pipe = tmp_path / "out.npy"
    os.mkfifo(pipe)
    process = start("embed", "--framework", "fake", "a", "-o", pipe)
    data = pipe.read_bytes()
    assert process.wait() == 0
    assert pipe.is_fifo()
    assert data.startswith(b"\x93NUMPY")


def test_many_windows(run, fake_framework, tmp_path):
    texts = [f"text {number}" for number in range(9000)]
    (tmp_path / "in.txt").write_text("\n".join(texts))
    for name in ("out.npy", "out.jsonl"):
        result = run("embed", "--framework", "fake", "-f", tmp_path / "in.txt", "-o", tmp_path / name)
        assert "report: 9000 items" in result.stderr
    found = lines((tmp_path / "out.jsonl").read_text())
    assert [line["text"] for line in found] == texts
    assert [line["index"] for line in found] == list(range(9000))
    expected = vectors(*texts)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
    np.testing.assert_array_equal(np.asarray([line["embedding"] for line in found], np.float32), expected)


def test_lines_come_out_before_all_have_gone_in(start):
    process = start("embed", "--framework", "fake", stdin=subprocess.PIPE)
    process.stdin.write(b"".join(b"text %d\n" % number for number in range(4097)))
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["text"] == "text 0"
    process.stdin.close()
    assert len(process.stdout.read().splitlines()) == 4096


# Progress.


def test_progress_only_where_somebody_watches(start, on_terminal):
    _, errors = start("embed", "--framework", "fake", "a").communicate()
    assert b"it/s" not in errors
    assert b"item/s" not in errors
    code, seen, _ = on_terminal("embed", "--framework", "fake", "a", streams=("stderr",))
    assert code == 0
    assert "fake text: 100%" in seen
    _, seen, _ = on_terminal("embed", "--framework", "fake", "a", "--no-progress", streams=("stderr",))
    assert "fake text" not in seen


def test_progress_on_demand(run, fake_framework):
    assert "fake text: 100%" in run("embed", "--framework", "fake", "a", "--progress").stderr
