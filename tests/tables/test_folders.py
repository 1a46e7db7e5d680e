import io
import json
import tarfile
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cprtools import tables
from cprtools.errors import DataError, SchemaError
from cprtools.tables import folders

NODES = pa.table({"node_id": ["a", "b"]})
EDGES = pa.table({"weight": [0.5]})


def write(place, kind="graph", **members):
    members = members or {"nodes": NODES, "edges": EDGES}
    tables.write_folder(members, str(place), kind, tables.Footer("build-graph"), {"size": 3})


def open_it(place, *kinds):
    return tables.open_folder(str(place), kinds or ("graph",))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def rewrite(path, manifest):
    """The member again, with another manifest in its footer."""
    table = pq.read_table(path)
    data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    pq.write_table(table.replace_schema_metadata({folders.MANIFEST_KEY: data}), path)


@pytest.fixture
def graph(tmp_path):
    write(tmp_path / "g")
    return tmp_path / "g"


def test_a_folder_comes_back_as_it_was(graph, tmp_path):
    found = open_it(graph)

    assert (found.kind, found.manifest["facts"]) == ("graph", {"size": 3})
    assert found.has("nodes")
    assert not found.has("vectors")
    assert found.table("nodes").equals(NODES)
    assert found.table("nodes").schema.metadata is None
    assert found.table("edges", ["weight"]).to_pydict() == {"weight": [0.5]}
    assert names(graph) == ["edges.parquet", "manifest.parquet", "nodes.parquet"]
    assert names(tmp_path) == ["g"]
    described = found.describe()
    assert (described["name"], described["rows"]) == ("g", 3)


@pytest.mark.parametrize("place", ["g", ".hidden/_g", "relation=lists/g"])
def test_rows_of_one_value_are_read_alone(tmp_path, place):
    edges = pa.table({"relation": ["lists", "bought-with", "lists"], "weight": [1.0, 2.0, 3.0]})
    (tmp_path / place).parent.mkdir(exist_ok=True)
    write(tmp_path / place, nodes=NODES, edges=edges)
    found = open_it(tmp_path / place)
    for value, expected in (("lists", [1.0, 3.0]), ("bought-with", [2.0]), ("none", [])):
        rows = found.table("edges", ["weight"], where=("relation", value))
        assert rows.to_pydict() == {"weight": expected}
    assert found.schema("edges").names == ["relation", "weight"]
    (tmp_path / place / "edges.parquet").write_bytes(b"PAR1 nothing")
    for ask in (
        lambda: found.schema("edges"),
        lambda: found.table("edges", where=("relation", "lists")),
    ):
        with pytest.raises(DataError, match=r"edges\.parquet"):
            ask()


def test_a_folder_travels_through_a_pipe(script, piped, graph):
    lines = """
members = {'nodes': pa.table({'node_id': ['a', 'b']}), 'edges': pa.table({'weight': [0.5]})}
tables.write_folder(members, '-', 'graph', tables.Footer('build-graph'), {'size': 3})
"""
    done = script(lines.strip())
    piped(done.stdout)
    found = open_it("-")

    assert found.table("nodes").equals(NODES)
    # the same content has the same identity, however it came
    assert found.describe()["digest"] == open_it(graph).describe()["digest"]
    assert found.describe()["made_by"]["command"] == "build-graph"


def test_the_identity_follows_the_content_and_the_kind(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", kind="sellers")
    write(tmp_path / "c", nodes=NODES.slice(1), edges=EDGES)
    identities = {
        tables.open_folder(str(tmp_path / name), ("graph", "sellers")).manifest["id"]
        for name in "abc"
    }

    assert len(identities) == 3


def test_missing_and_foreign_places_are_told_apart(tmp_path, parquet):
    table = parquet({"a": [1]})
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x\nparquet").touch()
    for place, error, said in (
        ("none", DataError, "no such folder"),
        ("x" * 5000, DataError, "no such folder"),
        (table, SchemaError, "is a file; expected a folder with a graph model"),
        (tmp_path / "empty", DataError, r"no manifest\.parquet.*; found nothing"),
        (tmp_path / "other", DataError, r"found 'x\\nparquet'"),
    ):
        with pytest.raises(error, match=said):
            open_it(place)


def test_another_kind_is_refused_by_name(graph):
    with pytest.raises(SchemaError, match="holds a graph; expected a sellers model or a comple"):
        open_it(graph, "sellers", "complements")


def test_a_half_copied_folder_is_refused(graph):
    (graph / "edges.parquet").unlink()
    with pytest.raises(DataError, match=r"edges\.parquet is missing; the folder was copied only"):
        open_it(graph)


@pytest.mark.parametrize("member", ["nodes", "manifest"])
def test_a_truncated_member_is_refused(graph, member):
    path = graph / f"{member}.parquet"
    path.write_bytes(path.read_bytes()[:-30])

    with pytest.raises(DataError, match=rf"{member}\.parquet: not a readable Parquet file"):
        open_it(graph)


def test_a_member_of_another_folder_is_refused(graph, tmp_path):
    write(tmp_path / "other", nodes=pa.table({"node_id": ["a", "c"], "x": [1, 2]}), edges=EDGES)
    foreign = (tmp_path / "other" / "nodes.parquet").read_bytes()
    (graph / "nodes.parquet").write_bytes(foreign)

    with pytest.raises(SchemaError, match=r"nodes\.parquet does not belong to the rest"):
        open_it(graph)


def test_a_member_with_other_rows_or_no_footer_is_refused(graph):
    manifest = open_it(graph).manifest
    path = graph / "nodes.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(SchemaError, match="does not belong"):
        open_it(graph)
    pq.write_table(NODES, path)
    with pytest.raises(SchemaError, match="does not belong"):
        open_it(graph)
    for damaged in (b"{", b"[]", b"5", b"{}", b"[" * 100000):
        rewrite(path, damaged)
        with pytest.raises(SchemaError, match="does not belong"):
            open_it(graph)
    rewrite(path, manifest)
    assert open_it(graph).table("nodes").num_rows == 2


@pytest.mark.parametrize(
    "damage",
    [
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100000,
        {"members": []},
        {"kind": 5},
        {"format": "new"},
        {"format": float("inf")},
    ],
)
def test_a_damaged_manifest_is_a_data_error(graph, damage):
    if isinstance(damage, dict):
        damage = {**open_it(graph).manifest, **damage}
    rewrite(graph / "manifest.parquet", damage)

    with pytest.raises(DataError, match=r"manifest\.parquet holds no valid manifest"):
        open_it(graph)


def test_a_newer_format_is_refused_before_its_kind_is_judged(graph):
    manifest = open_it(graph).manifest
    rewrite(graph / "manifest.parquet", {**manifest, "format": 2, "kind": "hologram"})

    with pytest.raises(SchemaError, match="written by a newer cprtools; update to read it"):
        open_it(graph)


@pytest.mark.parametrize("member", ["../outside", "/etc/x", "UPPER", "a.b", ""])
def test_a_manifest_does_not_lead_out_of_its_folder(graph, tmp_path, member):
    manifest = dict(open_it(graph).manifest)
    manifest["members"] = {member: 1}
    rewrite(graph / "manifest.parquet", manifest)
    pq.write_table(EDGES, tmp_path / "outside.parquet")
    rewrite(tmp_path / "outside.parquet", manifest)

    with pytest.raises(DataError, match="is missing"):
        open_it(graph)


def test_pages_damaged_behind_a_good_footer_are_found_when_read(tmp_path):
    write(tmp_path / "g", nodes=pa.table({"node_id": [f"{i:08}" for i in range(5000)]}))
    path = tmp_path / "g" / "nodes.parquet"
    data = bytearray(path.read_bytes())
    data[4:3000] = bytes(2996)
    path.write_bytes(data)

    with pytest.raises(DataError, match="not a readable Parquet file"):
        open_it(tmp_path / "g").table("nodes")


def test_a_folder_of_ours_is_replaced_whole(graph, tmp_path):
    write(graph, weights=EDGES)

    assert names(graph) == ["manifest.parquet", "weights.parquet"]
    assert names(tmp_path) == ["g"]
    assert open_it(graph).has("weights")


def test_a_folder_is_replaced_where_the_kernel_cannot_swap(graph, tmp_path, monkeypatch):
    monkeypatch.setattr(folders.sys, "platform", "elsewhere")
    write(graph, weights=EDGES)

    assert names(tmp_path) == ["g"] and open_it(graph).has("weights")


def test_an_empty_folder_and_a_trailing_slash_are_fine(tmp_path):
    (tmp_path / "g").mkdir()
    tables.check_folder_writable(f"{tmp_path}/g/", "graph")
    write(f"{tmp_path}/g/")

    assert (names(tmp_path), open_it(f"{tmp_path}/g/").kind) == (["g"], "graph")


def test_a_link_to_a_folder_stays_and_its_folder_is_replaced(graph, tmp_path):
    (tmp_path / "latest").symlink_to("g")
    write(tmp_path / "latest", weights=EDGES)

    assert (tmp_path / "latest").is_symlink()
    assert open_it(graph).has("weights")
    assert names(tmp_path) == ["g", "latest"]


@pytest.mark.parametrize("check", [partial(tables.check_folder_writable, kind="graph"), write])
def test_a_foreign_folder_is_never_replaced(graph, tmp_path, check):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    (graph / "notes.txt").write_text("mine")
    only_named_so = tmp_path / "named"
    only_named_so.mkdir()
    pq.write_table(NODES, only_named_so / "manifest.parquet")
    file = tmp_path / "file"
    file.write_text("text")

    for place, said in (
        (foreign, r"holds files that are not ours \(thesis\.txt\); it is not replaced"),
        (graph, "notes.txt"),
        (only_named_so, "not ours"),
        (file, "is a file; name a folder"),
        (tmp_path / "no" / "g", "does not exist|no such file"),
    ):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(DataError, match=said):
            check(str(place))
        assert sorted(tmp_path.rglob("*")) == before


def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in (".", str(tmp_path), "../" + tmp_path.name):
        with pytest.raises(DataError, match="is the current folder"):
            write(place)


def test_a_failure_in_the_middle_leaves_the_old_folder(graph, tmp_path, monkeypatch):
    before = {path.name: path.read_bytes() for path in graph.iterdir()}
    written = []

    def failing(table, out, *rest):
        written.append(out)
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    for name in ("write_mapped", "write_parquet"):
        monkeypatch.setattr(folders, name, failing)
    with pytest.raises(DataError, match="no space left on device"):
        write(graph, weights=EDGES)

    assert {path.name: path.read_bytes() for path in graph.iterdir()} == before
    assert names(tmp_path) == ["g"]


def tar(*members, fmt=tarfile.GNU_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=fmt) as out:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            out.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def entry(name, kind=tarfile.REGTYPE, link="", size=0, **pax):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.pax_headers = kind, link, size, pax
    return info


@pytest.mark.parametrize(
    "member",
    [
        entry("nodes.parquet", tarfile.SYMTYPE, "/etc/passwd"),
        entry("nodes.parquet", tarfile.LNKTYPE, "/etc/passwd"),
        entry("nodes.parquet", tarfile.FIFOTYPE),
        entry("nodes.parquet", tarfile.CHRTYPE),
        entry("nodes.parquet", tarfile.DIRTYPE),
        entry("../nodes.parquet"),
        entry("/nodes.parquet"),
        entry("a/../../nodes.parquet"),
        entry("sub/nodes.parquet"),
        entry("nodes.txt"),
        entry(".nodes.parquet"),
        entry("nodes.parquet\n"),
        entry("n" * 80 + ".parquet"),
    ],
    ids=lambda info: f"{info.name[:20]} {info.type!r}",
)
def test_a_tar_with_anything_but_our_tables_is_refused(piped, tmp_path, monkeypatch, member):
    monkeypatch.chdir(tmp_path)
    piped(tar(member))

    with pytest.raises(DataError, match="something else than our tables"):
        open_it("-")
    assert list(tmp_path.iterdir()) == []


def test_a_sparse_member_that_claims_terabytes_is_refused(piped):
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 42)}
    pax["GNU.sparse.name"] = "nodes.parquet"
    member = entry("nodes.parquet", size=512, **pax)
    piped(tar((member, b"0\n".ljust(512, b"\0")), fmt=tarfile.PAX_FORMAT))

    with pytest.raises(DataError, match="something else than our tables"):
        open_it("-")


def test_a_member_that_claims_more_than_the_tar_holds_is_refused(piped):
    for size in (1 << 20, 1 << 40):
        whole = tar((entry("nodes.parquet"), b""))
        info = entry("nodes.parquet", size=size)
        piped(info.tobuf(tarfile.GNU_FORMAT) + whole[512:])

        with pytest.raises(DataError, match="this is none, or damaged"):
            open_it("-")


def test_a_truncated_tar_is_refused_wherever_it_ends(piped, graph):
    members = [(path.name, path.read_bytes()) for path in sorted(graph.iterdir())]
    whole = tar(*((entry(name, size=len(data)), data) for name, data in members))
    piped(whole)
    assert open_it("-").table("nodes").equals(NODES)

    second = 512 + -(-len(members[0][1]) // 512) * 512
    for end in (100, 512, second - 512, second, second + 100, second + 600):
        piped(whole[:end])
        with pytest.raises(DataError):
            open_it("-")


@pytest.mark.parametrize("data", [b"", b"x", b"PAR1", bytes(10240), bytes(range(256)) * 12])
def test_what_is_no_tar_is_refused(piped, data):
    piped(data)
    with pytest.raises(DataError):
        open_it("-")


def test_a_compressed_tar_is_not_unpacked(piped, graph):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as out:
        for path in graph.iterdir():
            out.add(path, path.name)
    piped(buffer.getvalue())

    with pytest.raises(DataError, match="expected a folder as a tar"):
        open_it("-")
