"""Each head is shown to be sealed by the way from it to the root, and nothing else is."""

from hypothesis import given
from hypothesis import strategies as st

from domain.checkpoint import NOTHING, Head, paths, root
from entrypoints.verify.rollbook_verify import climbed

heads = st.lists(
    st.builds(Head, st.text(), st.integers(1), st.just("ab" * 32), st.integers(1)), min_size=1, max_size=40
)


@given(heads, st.data())
def test_the_way_from_each_head_leads_to_the_root(heads: list[Head], data: st.DataObject) -> None:
    leaves = [head.leaf() for head in heads]
    place = data.draw(st.integers(0, len(leaves) - 1))
    assert climbed(leaves[place].encode(), paths(leaves)[place]) == root(leaves)


@given(heads, st.text(), st.data())
def test_from_another_head_it_leads_elsewhere(heads: list[Head], name: str, data: st.DataObject) -> None:
    leaves = [head.leaf() for head in heads]
    place = data.draw(st.integers(0, len(leaves) - 1))
    other = Head(name, 7, "cd" * 32, 9).leaf()
    assert climbed(other.encode(), paths(leaves)[place]) != root(leaves)


def test_of_no_heads_the_root_is_nothing() -> None:
    assert root([]) == NOTHING
