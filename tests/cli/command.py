"""What tests of the command share: it is run in this process, and what it says is read."""

from infomax.cli import main

SMALL = ["--method", "jmi", "--projector", "8", "--data", "digits", "--batch-size", "400"]


def run(capsys, *argv):
    code = main([str(a) for a in argv])
    said = capsys.readouterr()
    return code, said.out, said.err
