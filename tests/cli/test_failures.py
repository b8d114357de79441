"""What goes wrong ends in one line on standard error, an exit code, and no half file."""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest


def one_error(result, message):
    """Asserts that a command ended with one line that holds `message`."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    return True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--framework", "fak"], "no framework 'fak' for text; did you mean 'fake'?"),
        (["--framework", "resnet"], "framework 'resnet' embeds image, not text"),
        (["--framework", "fake", "--option", "dimenson=3"], "has no option 'dimenson'; did you mean 'dimension'?"),
        (["--framework", "fake", "--option", "dimension=many"], "--option dimension of framework 'fake' takes int"),
        (["--framework", "fake", "--option", "roles=perhaps"], "--option roles of framework 'fake' takes bool"),
        (["--framework", "fake", "--option", "dimension"], "--option takes KEY=VALUE, not 'dimension'"),
        (["--framework", "fake", "--option", "=3"], "--option takes KEY=VALUE, not '=3'"),
        (["--framework", "fake", *["--option", "dimension=3"] * 2], "--option dimension is given twice"),
        (["--framework", "fake", "--option", "device=cpu"], "'device' is not an option of the framework: use --device"),
        (["--framework", "fake", "--option", "cache=x"], "has no option 'cache'"),
        (["--framework", "fake", "--option", "host=x"], "has no option 'host'"),
        (["--framework", "fake", "--role", "poet"], "'poet' is not one of query, document, symmetric"),
        (["--framework", "fake", "--truncation", "never"], "'never' is not one of warn, error, truncate, mean"),
        (["--framework", "fake", "--precision", "int3"], "'int3' is not one of auto, float32, bfloat16, float16"),
        (["--framework", "fake", "--on-error", "ignore"], "'ignore' is not one of raise, collect"),
        (["--framework", "fake", "--format", "csv"], "'csv' is not one of jsonl, npy"),
        (["--framework", "fake", "--dimensions", "0"], "'--dimensions'"),
        (["--framework", "fake", "--batch-size", "few"], "'--batch-size'"),
        (["--framework", "fake", "--instruction", "sing"], "follows no instruction"),
        (["--framework", "fake", "-o", "vectors.txt"], "vectors.txt does not end in .jsonl or .npy; say which with"),
        (["--framework", "fake", "-o", "no/such/folder/v.npy"], "cannot write no/such/folder/v.npy: No such file"),
        (["--framework", "fake", "-f", "no-such.txt"], "cannot read no-such.txt: No such file or directory"),
        (["--framework", "fake", "-f", "."], "cannot read .: it is a folder"),
        (["--framework", "fake", "-f", "-", "-f", "-"], "standard input can be read only once"),
        (["--framework", "fake", "--api-key", "s3cret"], "No such option: --api-key"),
        (["--framework", "fake", "--api-key=s3cret"], "No such option: --api-key"),
        (["--framework", "fake", "--option", "api_key=s3cret"], "a key is no argument"),
        (["--framework", "fake", "--option", "api-key=s3cret"], "a key is no argument"),
        (["--no-such-option"], "No such option: --no-such-option"),
    ],
    ids=str,
)
def test_bad_arguments(run, fake_framework, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = run("embed", "a", *arguments)
    assert one_error(result, message)
    assert "s3cret" not in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["site-packages"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["embd"], "No such command 'embd'"),
        (["similarity", "a"], "Missing argument"),
        (["similarity", "a", "b", "c"], "unexpected extra argument"),
    ],
)
def test_bad_commands(run, arguments, message):
    result = run(*arguments)
    assert one_error(result, message)
    assert "--help')" in result.stderr


def test_the_default_framework_is_not_replaced_by_another(run, fake_framework, monkeypatch):
    monkeypatch.setenv("LLM_MULTI_CORE_PLUGINS", "llm-multi-core-fake")
    result = run("embed", "a")
    assert result.exit_code == 2
    assert "'sentence-transformers'" in result.stderr


def test_a_framework_that_is_not_installed_says_what_installs_it(run, fake_framework, monkeypatch):
    monkeypatch.setattr("llm_multi_core.embedder.host.host._default_host._entry_points", list)
    assert one_error(run("embed", "a", "--framework", "cohere"), 'pip install "llm-multi-core[cohere]"')


# Inputs.


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"", [], "no inputs: nothing in standard input"),
        (b"\n \n", ["--skip-empty"], "no inputs: all 2 lines are empty"),
        (b"good\nb\xe4d\n", [], "standard input, line 2 is not UTF-8 (byte 0xe4 at byte 2 of the line)"),
    ],
)
def test_bad_standard_input(run, fake_framework, tmp_path, content, arguments, message):
    result = run("embed", "--framework", "fake", "-o", tmp_path / "out.jsonl", *arguments, stdin=content)
    assert one_error(result, message)
    assert [entry.name for entry in tmp_path.iterdir()] == ["site-packages"]


def test_a_file_that_is_not_utf8(run, fake_framework, tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"fine\n" * 5000 + "schön\n".encode("latin-1"))
    result = run("embed", "--framework", "fake", "-f", path, "-o", tmp_path / "out.npy")
    assert one_error(result, f"{path}, line 5001 is not UTF-8 (byte 0xf6 at byte 4 of the line)")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["latin.txt", "site-packages"]


def test_nothing_given_on_a_terminal(on_terminal):
    code, seen, errors = on_terminal("embed", "--framework", "fake", streams=("stdin",))
    assert (code, seen) == (2, "")
    assert errors == "error: no inputs: give texts, --file, or lines on standard input\n"


def test_an_argument_that_is_not_utf8(start):
    process = start("embed", "--framework", "fake", b"b\xe4d".decode(errors="surrogateescape"))
    output, errors = process.communicate()
    assert (process.returncode, output) == (2, b"")
    assert errors.startswith(b"error: input 0: the text holds a lone surrogate")


# Outputs.


def test_a_file_that_exists_is_kept(run, fake_framework, tmp_path):
    path = tmp_path / "out.npy"
    path.write_bytes(b"old")
    assert one_error(run("embed", "--framework", "fake", "a", "-o", path), "exists; pass --overwrite to replace it")
    assert path.read_bytes() == b"old"


def test_an_output_that_is_a_folder_or_lies_in_a_file(run, fake_framework, tmp_path):
    folder, file = tmp_path / "folder.npy", tmp_path / "file"
    folder.mkdir()
    file.touch()
    arguments = ("embed", "--framework", "fake", "a", "--overwrite", "-o")
    assert one_error(run(*arguments, folder), "it is a folder")
    assert one_error(run(*arguments, file / "out.npy"), "Not a directory")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")  # noqa: PTH110
def test_a_full_disk(start):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        process = start("embed", "--framework", "fake", "a", stdout=full)
        _, errors = process.communicate()
    assert process.returncode == 2
    assert errors == b"error: No space left on device\n"


# Inputs that fail.


@pytest.fixture
def poisoned(tmp_path):
    """A file whose lines 3 and 5002 are poison."""
    path = tmp_path / "poisoned.txt"
    texts = [f"text {number}" for number in range(1, 6001)]
    texts[2] = texts[5001] = "poison"
    path.write_text("\n".join(texts))
    return path


@pytest.mark.parametrize("name", ["out.npy", "out.jsonl"])
def test_the_first_failure_ends_it_and_leaves_nothing(run, moody, poisoned, tmp_path, name):
    result = run("embed", "--framework", "picky", "-f", poisoned, "-o", tmp_path / name)
    assert one_error(result, f"failed on input 2 (ValueError: it is poison) ({poisoned}, line 3)")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["poisoned.txt", "site-packages"]


def test_a_failed_run_keeps_the_file_that_it_was_to_replace(run, moody, poisoned, tmp_path):
    path = tmp_path / "out.npy"
    path.write_bytes(b"old")
    assert run("embed", "--framework", "picky", "-f", poisoned, "-o", path, "--overwrite").exit_code == 2
    assert path.read_bytes() == b"old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out.npy", "poisoned.txt", "site-packages"]


def test_collected_failures_in_json_lines(run, moody, poisoned):
    result = run("embed", "--framework", "picky", "-f", poisoned, "--on-error", "collect")
    assert result.exit_code == 1
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["index"] for line in found] == list(range(6000))
    failed = [line for line in found if "error" in line]
    assert [(line["index"], line["text"], line["embedding"]) for line in failed] == [
        (2, "poison", None),
        (5001, "poison", None),
    ]
    assert "it is poison" in failed[1]["error"]
    assert all(len(line["embedding"]) == 8 for line in found if "error" not in line)
    assert 'warning: 2 of 6000 inputs failed and have an "error" in place of the vector; the first: ' in result.stderr
    assert f"({poisoned}, line 3)\n" in result.stderr
    assert "2 failed" in result.stderr


def test_collected_failures_in_npy_are_rows_of_nan(run, moody, poisoned, tmp_path):
    arguments = ("embed", "--framework", "picky", "-f", poisoned, "--on-error", "collect", "-o", tmp_path / "out.npy")
    assert run(*arguments).exit_code == 1
    found = np.load(tmp_path / "out.npy")
    assert found.shape == (6000, 8)
    assert np.flatnonzero(np.isnan(found).all(1)).tolist() == [2, 5001]
    assert np.isfinite(np.delete(found, [2, 5001], 0)).all()


def test_the_line_is_right_where_empty_ones_were_left_out(run, moody, tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("\na\n\n\nb\npoison\n")
    result = run("embed", "argument", "--framework", "picky", "-f", path, "--skip-empty")
    assert one_error(result, f"failed on input 3 (ValueError: it is poison) ({path}, line 6)")


def test_refused_inputs_are_collected_window_by_window(start):
    process = start("embed", "--framework", "fake", "a", "b\udce4d", "c", "--on-error", "collect")
    output, _ = process.communicate()
    assert process.returncode == 1
    found = [json.loads(line) for line in output.splitlines()]
    assert [line["text"] for line in found] == ["a", "b\udce4d", "c"]
    assert found[1]["error"].startswith("the text holds a lone surrogate")


# The end of it.


def test_a_bug_is_one_line_and_a_traceback_for_those_who_ask(run, moody, monkeypatch):
    result = run("embed", "a", "--framework", "buggy")
    assert one_error(result, "unexpected RuntimeError: a bug over two lines; LLM_MULTI_CORE_DEBUG=1 shows where")
    for arguments, value in ((["--debug"], ""), ([], "1")):
        monkeypatch.setenv("LLM_MULTI_CORE_DEBUG", value)
        result = run(*arguments, "embed", "a", "--framework", "buggy")
        assert result.exit_code == 2
        assert "Traceback (most recent call last)" in result.stderr
        assert "error: unexpected RuntimeError" in result.stderr.splitlines()[-1]


def test_an_interrupt_leaves_nothing(start, tmp_path):
    process = start("embed", "--framework", "interrupted", "a", "-o", tmp_path / "out.npy")
    output, errors = process.communicate()
    assert (process.returncode, output, errors) == (130, b"", b"error: interrupted\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["site-packages"]


def test_a_reader_that_goes_away_is_no_error(start):
    process = start("embed", "--framework", "fake", "a", stdin=subprocess.DEVNULL)
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate()
    assert (process.returncode, errors) == (141, b"")
    process = start("frameworks", environment={"LLM_MULTI_CORE_PLUGINS": "none"})
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate()
    assert (process.returncode, errors) == (141, b"")


def test_warnings_of_others_are_not_swallowed(run, install_plugin):
    source = """
    import warnings
    from llm_multi_core.embedder import hookimpl

    @hookimpl
    def llm_multi_core_frameworks():
        warnings.warn("look at this", UserWarning)
        return []
    """
    install_plugin("acme", entry_points={"acme": "acme_plugin"}, modules={"acme_plugin": source})
    with pytest.warns(UserWarning, match="look at this"):
        run("plugins")
