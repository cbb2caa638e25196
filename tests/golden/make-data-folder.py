#!/usr/bin/env python3
"""Makes a small data folder in which most things happened, and notes what the version that made it says about it:
tests/golden/make-data-folder.py path/to/docket data-folder-VERSION.tar.gz. Needs python3 and takes half a minute, because
deadlines pass in it. A folder that is committed is never made again: it is there to be read by every later version."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
AT = "2026-12-01T00:00:00Z"

CSV = """number,state,opened,changed,by,caller,symptom,group,agent,priority,place
OLD-1,New,2026-03-02T08:00:00Z,2026-03-02T08:00:00Z,ann,Ines Duarte,No sound,Front office,?,3,Lisbon
OLD-1,Active,2026-03-02T08:00:00Z,2026-03-02T09:30:00Z,ann,Ines Duarte,No sound,Front office,Ann,2,Lisbon
OLD-1,Resolved,2026-03-02T08:00:00Z,2026-03-03T16:00:00Z,ann,Ines Duarte,No sound,Front office,Ann,2,Lisbon
OLD-1,Closed,2026-03-02T08:00:00Z,2026-03-09T16:00:00Z,ann,Ines Duarte,No sound,Front office,Ann,2,Lisbon
OLD-2,New,2026-03-04T11:10:00Z,2026-03-04T11:10:00Z,sam,Jonas Öberg,Wheel bent,Workshop,?,1,Malmö
OLD-2,Waiting,2026-03-04T11:10:00Z,2026-03-04T12:00:00Z,sam,Jonas Öberg,Wheel bent,Workshop,Sam,1,Malmö
OLD-2,Active,2026-03-04T11:10:00Z,2026-03-05T12:00:00Z,sam,Jonas Öberg,Wheel bent,Paint shop,Kim,1,Malmö
OLD-2,Resolved,2026-03-04T11:10:00Z,2026-03-05T15:00:00Z,kim,Jonas Öberg,Wheel bent,Paint shop,Kim,1,Malmö
OLD-2,Active,2026-03-04T11:10:00Z,2026-03-06T09:00:00Z,kim,Jonas Öberg,Wheel bent,Paint shop,Kim,1,Malmö
OLD-3,On the moon,2026-03-05T07:00:00Z,2026-03-05T07:00:00Z,ann,Ines Duarte,"Lamp, dark",Front office,Ann,4,?
"""

MAPPING = """
source = "oldsystem"
missing = ["?"]
[time]
format = "rfc3339"
zone = "UTC"
[ticket]
key = "number"
opened_at = "opened"
subject = "{symptom}"
requester = "caller"
queue = "Imported"
[event]
at = "changed"
actor = "by"
[status]
column = "state"
unknown = "open"
[status.values]
New = { key = "new", category = "new" }
Active = { key = "open", category = "open" }
Waiting = { key = "waiting", category = "waiting" }
Resolved = { key = "resolved", category = "resolved" }
Closed = { key = "closed", category = "closed" }
[priority]
column = "priority"
values = { 1 = "urgent", 2 = "high", 3 = "normal", 4 = "low" }
default = "normal"
[team]
column = "group"
[agent]
column = "agent"
[fields]
place = "place"
"""

# What the second desk file has besides: fields, categories, one more queue; the queue `crisis` is retired by it.
MORE = """
[[queue]]
key = "returns"
name = "Returns"
team = "workshop"

[[category]]
key = "sound"
name = "Sound"

[[category]]
key = "sound-none"
name = "No sound"
parent = "sound"

[[field]]
key = "order"
name = "Order"
type = "text"

[[field]]
key = "amount"
name = "Amount"
type = "integer"

[[field]]
key = "bought"
name = "Bought on"
type = "date"

[[field]]
key = "mood"
name = "Mood"
type = "choice"
options = ["good", "bad"]

[[field]]
key = "parts"
name = "Parts"
type = "choices"
options = ["bell", "lamp", "wheel"]

[[field]]
key = "called-at"
name = "Called at"
type = "instant"

[[field]]
key = "warranty"
name = "Warranty"
type = "boolean"
"""


def second_desk(first):
    desk = re.sub(r'\[\[queue\]\]\nkey = "crisis".*?\n\n', "", first, flags=re.S)
    desk = desk.replace('when = { tags = ["outage"], queues = ["inbox", "crisis"] }', 'when = { priorities = ["urgent"] }')
    desk = desk.replace('move_to = "crisis"\n', "")
    desk = desk.replace('first_response = { default = "30m", urgent = "10m" }', 'first_response = { default = "5s" }')
    desk = desk.replace('resolution = { default = "8h", urgent = "4h" }', 'resolution = { default = "8s" }')
    desk = desk.replace('warn_before = "10m"', 'warn_before = "2s"')
    desk = desk.replace('after = "-30m"\nlevel = 1\nwhen = { assigned = false }', 'after = "-1s"\nlevel = 1\nwhen = { assigned = false }')
    desk = desk.replace('after = "15m"\nlevel = 2', 'after = "1s"\nlevel = 2')
    desk = desk.replace('next_response = { default = "8h" }', 'next_response = { default = "6h", high = "2h" }')
    assert desk.count("crisis") == 0 and desk.count('"8s"') == 1 and desk.count('"2s"') == 1, desk
    return desk.replace('[[team]]\nkey = "front"', MORE + '\n[[team]]\nkey = "front"', 1)


class Docket:
    def __init__(self, program, data):
        self.program, self.data = program, data

    def run(self, *words):
        return subprocess.run([self.program, *words, "--data", self.data], check=True, capture_output=True, text=True).stdout

    def token(self, *words):
        return self.run("token", "create", *words).strip()

    def serve(self):
        words = [self.program, "serve", "--listen", "127.0.0.1:0", "--data", self.data]
        self.server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.server.stdout.readline().split()[-1] + "/graphql"

    def stop(self):
        self.server.terminate()
        assert self.server.wait() == 0

    def ask(self, token, document, **variables):
        body = json.dumps({"query": document, "variables": variables}).encode()
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        answer = json.load(urllib.request.urlopen(urllib.request.Request(self.url, body, headers)))
        assert "errors" not in answer, (document, answer)
        return answer["data"]

    def do(self, token, name, id=None, /, refused=False, **given):
        """Carries out a mutation by its name; its input is what is given."""
        kind = name[0].upper() + name[1:] + "Input"
        told = {"customerRegister": "customer { id }", "tokenCreate": "secret tokenId", "deskApply": "changes", "slaReapply": "effect { affected }"}.get(name, "ticket { id }" if name.startswith("ticket") else "")
        where = "" if name.startswith("token") else "position"
        target, declared = ("id: $id, ", "$id: ID!, ") if id else ("", "")
        document = f"mutation ({declared}$input: {kind}!) {{ {name}({target}input: $input) {{ {told} {where} userErrors {{ code message }} }} }}"
        answer = self.ask(token, document, input=given, **({"id": id} if id else {}))[name]
        assert bool(answer["userErrors"]) == refused, (name, given, answer)
        return answer

    def open(self, token, subject, /, **given):
        return self.do(token, "ticketOpen", subject=subject, **given)["ticket"]["id"]


def life(docket, admin, agent, first):
    do, known = docket.do, {}
    customers = [do(admin, "customerRegister", name=name, email=email)["customer"]["id"] for name, email in
                 [("Ada Lovelace", "ada@example.org"), ("Björn 🚲", None), ("Chloé", "chloe@example.org")]]
    made = do(admin, "tokenCreate", role="CUSTOMER", customer=customers[0], label="Ada's page", expiresAt="2199-01-01T00:00:00Z")
    customer = known["customer"] = made["secret"]
    lost = do(admin, "tokenCreate", role="AGENT", agent="agent_ann", label="lost telephone")
    known["revoked"] = lost["secret"]
    do(admin, "tokenRevoke", lost["tokenId"])
    # Under the first versions of policies.
    before = [docket.open(admin, f"Before the change {n}", requester=customers[n], queue=queue) for n, queue in enumerate(["queue_inbox", "queue_crisis", "queue_inbox"])]
    do(admin, "ticketTag", before[1], add=["outage"], remove=[])
    do(agent, "ticketReply", before[0], body="We look into it.")
    do(admin, "ticketTransfer", before[1], queue="queue_inbox")
    do(admin, "deskApply", toml=second_desk(first))
    do(admin, "ticketTransfer", before[0], refused=True, queue="queue_crisis")

    talk = docket.open(customer, "My bell is silent", body="It makes no sound.\nNone at all.", clientMutationId="ada-1")
    do(agent, "ticketAssign", talk, agent="agent_ann", team="team_front")
    do(agent, "ticketReply", talk, body="Have you tried to turn it?", channel="EMAIL")
    do(agent, "ticketSetStatus", talk, status="waiting")
    keyed = do(customer, "ticketReceive", talk, body="Yes, twice.", clientMutationId="ada-2")
    known["keyed"] = {"ticket": talk, "key": "ada-2", "body": "Yes, twice.", "position": keyed["position"]}
    again = do(customer, "ticketReceive", talk, body="Yes, twice.", clientMutationId="ada-2")
    assert again["position"] == keyed["position"]
    do(agent, "ticketAddNote", talk, body="A " + "very long " * 2500 + "note.")
    known["long_text"] = {"ticket": talk, "bytes": len("A " + "very long " * 2500 + "note.")}
    do(agent, "ticketUpdate", talk, category="category_sound-none", priority="HIGH", subject="My bell is silent 🔔")
    do(agent, "ticketTag", talk, add=["bell", "vip"], remove=[])
    do(agent, "ticketTag", talk, add=[], remove=["vip"])
    for field, value in [("order", {"text": "A-17"}), ("amount", {"integer": "4200"}), ("bought", {"date": "2026-02-28"}), ("mood", {"choice": "bad"}),
                         ("parts", {"choices": ["bell", "lamp"]}), ("called-at", {"instant": "2026-11-22T11:00:00+02:00"}), ("warranty", {"boolean": True})]:
        do(agent, "ticketSetField", talk, field=field, **value)
    do(agent, "ticketSetField", talk, field="mood")
    do(agent, "ticketFollow", talk)
    do(admin, "ticketFollow", talk, agent="agent_sam")
    do(admin, "ticketFollow", talk, agent="agent_sam", follow=False)
    do(agent, "ticketLogCall", talk, answered=False)
    do(agent, "ticketLogCall", talk, answered=True, durationS=312, summary="Asked for the serial number")
    do(agent, "ticketResolve", talk)
    do(customer, "ticketReceive", talk, body="Silent again!", channel="SOCIAL")
    do(agent, "ticketResolve", talk)
    do(agent, "ticketClose", talk)

    # Nobody answers the first; the second is answered after its warning.
    do(admin, "ticketEscalate", docket.open(admin, "Nobody comes", priority="URGENT", requester=customers[1], body="Help"), reason="Asked twice")
    saved = docket.open(admin, "Somebody comes late", priority="URGENT", requester=customers[2])
    for n, priority in enumerate(["LOW", "NORMAL", "HIGH"]):
        id = docket.open(agent, f"Chain {n}", priority=priority, channel=["PHONE", "CHAT", "WEB"][n], requester=customers[n], queue="queue_returns")
        do(agent, "ticketAssign", id, agent="agent_sam", team=["team_front", "team_workshop", None][n])
        do(agent, "ticketAssign", id, agent=["agent_ann", None, "agent_sam"][n], team="team_workshop")
        if n < 2:
            do(agent, "ticketResolve", id)
        if n < 1:
            do(agent, "ticketReopen", id)
    do(admin, "ticketUpdate", before[2], requester=None)
    time.sleep(4)
    do(agent, "ticketReply", saved, body="Here we are.")
    time.sleep(7)
    do(agent, "ticketResolve", saved)
    do(agent, "ticketReopen", saved)
    do(admin, "slaReapply")
    time.sleep(2)
    return known


def main():
    program, target = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        docket = Docket(program, str(scratch / "data"))
        desk = ROOT / "examples/desks/service-levels.toml"
        docket.run("apply", str(desk))
        admin = docket.token("--role", "administrator")
        agent = docket.token("--role", "agent", "--agent", "ann", "--label", "Ann's desk")
        auditor = docket.token("--role", "auditor", "--expires", "2199-01-01T00:00:00Z")
        docket.serve()
        try:
            known = life(docket, admin, agent, desk.read_text())
        finally:
            docket.stop()
        (scratch / "old.csv").write_text(CSV)
        (scratch / "old.toml").write_text(MAPPING)
        docket.run("import", "--mapping", str(scratch / "old.toml"), str(scratch / "old.csv"))
        docket.serve()
        docket.stop()
        said = scratch / "said"
        said.mkdir()
        known |= {"administrator": admin, "agent": agent, "auditor": auditor, "at": AT, "version": subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]}
        (said / "known.json").write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
        (said / "report.json").write_text(docket.run("report", "--json", "--at", AT))
        (said / "verify.json").write_text(docket.run("verify", "--json"))
        (said / "replay.jsonl").write_text(docket.run("replay", "--json"))
        (said / "rebuild.json").write_text(docket.run("rebuild", "--json"))
        shutil.rmtree(scratch / "data/snapshots", ignore_errors=True)
        (scratch / "data/lock").unlink(missing_ok=True)

        def nobody(entry):
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = 0
            return entry

        with tarfile.open(target, "w:gz", compresslevel=9) as archive:
            for part in ["data", "said"]:
                archive.add(scratch / part, part, filter=nobody)
        print(f"{target}: {target.stat().st_size} bytes")


main()
