"""Print what each fault shows at given stages, lasting and single."""
import sys,pytest,random,hashlib
from tests.faults import test_matrix as m, specification as sp
from tests.faults.faults import FAULTS
from tests.faults.world import a_world
import os
STAGE=os.environ["STAGE"].split(";")
@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with a_world(tmp_path_factory.mktemp("m")) as w: yield w
@pytest.fixture(autouse=True)
def short(monkeypatch):
    from registry_sync.registry import transport
    monkeypatch.setattr(transport, "DEFAULT_LIMITS", transport.RequestLimits(read_seconds=0.5))
    monkeypatch.setattr(random, "uniform", lambda low, _high: low if low >= 1 else 0.01)
@pytest.mark.parametrize("stage",STAGE)
@pytest.mark.parametrize("fault",[f for f in FAULTS if not f.startswith(("immutable","quota","certificate","disk","missing"))])
def test_it(plain,stage,fault,capsys):
    case=sp.Case(fault=fault,stage=stage,lasting="",passing="",says="")
    out=[]
    for times in (None,1):
        try: r=m.observe(plain,case,times,capsys)
        except AssertionError as e: r=("ASSERT",str(e)[:300])
        out.append(r)
    with capsys.disabled():
        print(f"\n{stage} | {fault} | {out[0][0]} | {out[1][0]} | {out[0][1][-260:]!r}")
