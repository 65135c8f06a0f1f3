"""A few kills of the campaign; see `kill_campaign`."""

import kill_campaign
import pytest

COMMANDS = "build_dataset,learn_vocab,pretrain,convert,export"


@pytest.mark.slow
def test_killed_commands_come_to_the_same_end(tmp_path, capsys):
    arguments = ["--kills=5", "--seed=0", f"--commands={COMMANDS}", f"--workdir={tmp_path}"]
    code = kill_campaign.main(arguments)
    told = capsys.readouterr().out
    print(told)
    assert code == 0
    assert int(told.splitlines()[-1].split()[1]) >= 5  # kills, of all commands
    assert not list((tmp_path / "rounds").iterdir())
