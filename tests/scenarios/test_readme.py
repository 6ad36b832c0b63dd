"""The README's own commands, in their order, by a user who is not root and has nothing but the README."""
import os
import pathlib
import pwd
import re
import subprocess

from house import BUILD, free_port

README = pathlib.Path(__file__).parents[2] / "README.md"


def blocks():
    """(language, text, the last `name` in backticks that ends in .conf before it) of every fence below "by hand"."""
    text = README.read_text()
    text = text[text.index("## The main job by hand"):text.index("## What a refusal looks like")]
    for found in re.finditer(r"```(\w+)\n(.*?)```", text, re.S):
        names = re.findall(r"`([\w/.-]+\.conf)`", text[:found.start()])
        yield found.group(1), found.group(2), names[-1] if names else None


def test_readme_by_hand(house):
    home = house.directory / "home"
    home.mkdir()
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:
        os.chown(home, pwd.getpwnam(user).pw_uid, -1)
    script = ["set -eu", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"]
    for language, text, name in blocks():
        if language == "ini":
            script.append("cat > %s <<'END_OF_FILE'\n%sEND_OF_FILE" % (name, text))
        else:
            script.append(text)
    script.append("appliance-hook --config box1/appliance-hook.conf check")
    script.append("appliance-hook --config box1/appliance-hook.conf status")
    script.append("readlink box1/root/current")
    whole = "\n".join(script)
    whole = whole.replace("PATH=$PWD/build/release:$PWD/build/orchestrator:$PWD/build/appliance-hook:$PATH",
                          "PATH=%s/release:%s/orchestrator:%s/appliance-hook:$PATH" % (BUILD, BUILD, BUILD))
    whole = whole.replace("/home/me", str(home)).replace("127.0.0.1:2022", "127.0.0.1:%d" % free_port())
    # The daemon answers a moment after it was started; a person types slower than a script.
    whole = whole.replace("nightshiftd --config centre/nightshiftd.conf &",
                          "nightshiftd --config centre/nightshiftd.conf &\nuntil nightshift --config centre/nightshiftd.conf status "
                          ">/dev/null 2>&1; do sleep 0.1; done")
    # Its window is on Sunday: looked at instead of watched to its end.
    whole = re.sub(r"(nightshift .*) upgrade watch ID", r"\1 upgrade list", whole)
    done = subprocess.run(["bash", "-c", whole], cwd=home, capture_output=True, text=True, timeout=120, user=user,
                          env=dict(os.environ, HOME=str(home), USER=user))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "releases/1.0" in done.stdout and "acme-prod" not in done.stderr
    assert re.search(r"box1 +upgrade +1\.0 +1\.1 +(booked|staging|staged)", done.stdout), done.stdout
