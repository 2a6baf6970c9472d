"""A file of secrets is taken exactly where Python's configparser takes it."""
import configparser
import random
import subprocess

from conftest import BUILD

TOOL = BUILD / "test" / "conformance" / "secrets_tool"
PIECES = ["[a]", "[b]", "[A]", "[DEFAULT]", "[", "]", "[]", "key", "KEY", "other", "=", ":", " = ", "value", " ", "  ",
          "\t", "\n", "\n", "\n\n", "\n  ", "\n    ", "\r\n", "\r", "#", ";", "# comment", "é", "\x0b", "\x0c", "\x1f",
          "[a]\n", "key = 1\n", "key2: 2\n", "  more\n"]


def accepted(text):
    try:
        configparser.ConfigParser().read_string(text)
    except configparser.Error:
        return False
    return True


def test_like_configparser(tmp_path):
    chance = random.Random(7)
    names, wanted, texts = [], [], []
    for i in range(4000):
        text = "".join(chance.choice(PIECES) for _ in range(chance.randint(0, 14)))
        if chance.random() < 0.7:
            text = "[s]\n" + text
        path = tmp_path / f"{i}.ini"
        path.write_bytes(text.encode())
        names.append(str(path))
        texts.append(text)
        # as a file's text is read: every kind of line end is one
        wanted.append(accepted(text.replace("\r\n", "\n").replace("\r", "\n")))
    said = subprocess.run([TOOL, *names], capture_output=True, text=True, check=True).stdout.split()
    assert len(said) == len(wanted) and 200 < sum(wanted) < 3800
    wrong = [(t, w) for t, w, s in zip(texts, wanted, said) if w != (s == "yes")]
    assert not wrong, (len(wrong), wrong[:5])
