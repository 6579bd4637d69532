#!/bin/bash
# The probe for real GPUs, on the simulated one: what it finds must be what is true there.
# timeout: 100
# shellcheck source=tests/clients/lib.bash
. "$(dirname "$0")/lib.bash"

probe=$BUILD/tests/gpu/probe
[ -x "$probe" ] || fail "$probe is not built (make probe)."

# Not the defaults: the answers have to come from the device.
export SIMGPU_SLICE_US=3000 SIMGPU_SWITCH_US=200 SIMGPU_CONTEXT=192MiB \
	SIMGPU_POOL_GRANULE=16MiB
facts=$TMPDIR/facts.json
"$probe" --json "$facts" --date 2000-01-01 \
	--only identity,plt,capture,pools,blocks,footprint,fds,kill,slices >"$TMPDIR/table" ||
	fail "The probe ended with exit status $?: $(cat "$TMPDIR/table")"

"$python" - "$facts" <<'END' || { cat "$TMPDIR/table"; exit 1; }
import json, sys

document = json.load(open(sys.argv[1]))
facts = {fact["id"]: fact for fact in document["facts"]}
wrong = []


def claim(sentence, true):
    if not true:
        wrong.append(sentence)


def answer(name):
    fact = facts.get(name, {"known": False, "why": "it was not asked"})
    if not fact["known"]:
        wrong.append(f"{name} is not known: {fact['why']}")
        return float("nan")
    return fact["answer"]


def near(name, truth, part=0.1):
    value = answer(name)
    claim(f"{name} is {value}, not within {part:.0%} of {truth}",
          abs(value - truth) <= part * truth)


def equal(name, truth):
    value = answer(name)
    claim(f"{name} is {value}, not {truth}", value == truth)


for fact in facts.values():
    claim(f"{fact['id']}: {fact.get('why')}", not fact["id"].endswith(".stopped"))
claim("the document has the date of --date", document["date"] == "2000-01-01")
equal("device.executes_ptx", False)

equal("identity.holds", True)
claim("all 673 symbols are compared",
      facts["identity.holds"]["evidence"]["same_address"] == 673)
equal("identity.latest", 0)
equal("plt.calls", 0)

equal("capture.captured_event", 907)
equal("capture.legacy_is_capturing", 906)
claim("asking the legacy stream leaves the capture alive",
      facts["capture.legacy_is_capturing"]["evidence"]["end_capture_after_it"] == 0)
for thread in "same", "other":
    refused = answer(f"capture.global_{thread}")
    for call in "cuMemAlloc", "cuEventQuery(event of before)", "cuCtxSynchronize":
        claim(f"global capture refuses {call} on the {thread} thread: {refused}",
              f"{call} 900 (capture dies)" in refused)
    relaxed = answer(f"capture.global_{thread}_relaxed")
    claim(f"a relaxed thread is refused nothing with 900: {relaxed}", " 900" not in relaxed)
claim("thread_local capture leaves other threads alone",
      " 900" not in answer("capture.thread_local_other"))

equal("pools.granule", 16 << 20)
equal("pools.growth", 16 << 20)
equal("pools.left_after_destroy", 0)
equal("pools.graph_after_trim", 0)
claim("a free gives no reserved bytes back before a synchronisation",
      "alone" not in answer("pools.given_back_by"))
equal("blocks.chunk", 2 << 20)
equal("blocks.small_step", 512)
equal("blocks.own_pages", 1 << 20)
equal("footprint.context", 192 << 20)
equal("footprint.second_context", 192 << 20)
claim("descriptors are close-on-exec", "NOT close-on-exec" not in answer("fds.init"))

equal("kill.child", False)
claim("memory comes back when the forked child is gone", answer("kill.child_gone") >= 0)
equal("kill.execed_child", True)
claim("memory of a killed process comes back", answer("kill.idle") >= 0)

for k in 2, 3:
    near(f"slices.ladder_{k}_slice", 3000e3)
    near(f"slices.ladder_{k}_switch", 200e3)
    near(f"slices.ladder_{k}_share", 3000 / 3200 / k)
near("slices.two_contexts", 3000 / 3200 / 3)
near("slices.bracket_0_others", 1)
claim("event time includes the slices of another process",
      answer("slices.bracket_1_others") > 1.8)

for sentence in wrong:
    print("FAILED:", sentence)
print(f"{len(facts)} facts, {len(wrong)} wrong.")
sys.exit(len(wrong) > 0)
END
