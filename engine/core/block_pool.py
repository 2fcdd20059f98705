"""Who holds which block of the paged KV cache, and which blocks can be found again by their contents.

Pure accounting: the memory itself belongs to the runner. Block 0 is the null block, the target of padding,
and is never handed out. Every other block is in exactly one of three conditions:

- used: held by one or more sequences (`refs` counts them);
- cached: held by nobody, but its contents are known by a key and a later sequence may share it;
- free: held by nobody and of no value.

Free and cached blocks stand in one list in the order in which they will be taken: free ones first, then
cached ones, least recently released first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from engine.errors import EngineError


class OutOfBlocks(EngineError):
    """More blocks were asked for than are available; the scheduler must look before it asks."""


class IntegrityError(EngineError):
    """The block accounting contradicts itself; the message says where."""


class Block:
    """One block. Linked into the list of available blocks, or linked to itself while in use."""

    __slots__ = ("id", "key", "next", "prev", "refs")

    def __init__(self, block_id: int) -> None:
        self.id = block_id
        self.refs = 0
        self.key: bytes | None = None
        self.prev: Block = self
        self.next: Block = self


class BlockList:
    """A doubly linked list through the blocks themselves, so that one in the middle leaves in O(1)."""

    def __init__(self) -> None:
        self._root = Block(-1)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Block]:
        block = self._root.next
        while block is not self._root:
            yield block
            block = block.next

    def push_front(self, block: Block) -> None:
        self._insert(block, before=self._root.next)

    def push_back(self, block: Block) -> None:
        self._insert(block, before=self._root)

    def pop_front(self) -> Block:
        if not self._length:
            raise OutOfBlocks("no block is available")
        block = self._root.next
        self.remove(block)
        return block

    def remove(self, block: Block) -> None:
        block.prev.next = block.next
        block.next.prev = block.prev
        block.prev = block.next = block
        self._length -= 1

    def _insert(self, block: Block, *, before: Block) -> None:
        block.prev, block.next = before.prev, before
        before.prev.next = block
        before.prev = block
        self._length += 1


class BlockPool:
    """All blocks of one cache, allocated once. Every operation costs O(blocks named), none O(pool)."""

    def __init__(self, num_blocks: int, block_size: int) -> None:
        """`num_blocks` counts the null block."""
        self.block_size = block_size
        self._blocks = [Block(block_id) for block_id in range(num_blocks)]
        self._available = BlockList()
        for block in self._blocks[1:]:
            self._available.push_back(block)
        self._index: dict[bytes, Block] = {}
        self._cached = 0

    @property
    def total(self) -> int:
        """Blocks that sequences can have (all but the null block)."""
        return len(self._blocks) - 1

    @property
    def available(self) -> int:
        """Blocks that can be handed out now: free ones and cached ones."""
        return len(self._available)

    @property
    def free(self) -> int:
        return len(self._available) - self._cached

    @property
    def cached(self) -> int:
        return self._cached

    @property
    def used(self) -> int:
        return self.total - len(self._available)

    def blocks_for(self, num_tokens: int) -> int:
        """How many blocks hold `num_tokens` tokens."""
        return -(-num_tokens // self.block_size)

    def lookup(self, keys: Iterable[bytes]) -> list[int]:
        """The blocks of the longest known prefix of `keys`. They are not taken: see `share`."""
        found = []
        for key in keys:
            block = self._index.get(key)
            if block is None:
                break
            found.append(block.id)
        return found

    def fits(self, count: int, *, sharing: Sequence[int] = (), spare: int = 0) -> bool:
        """Whether `count` blocks can be allocated, and `spare` stay available, once `sharing` are shared."""
        revived = sum(1 for block_id in sharing if not self._blocks[block_id].refs)
        return count + spare <= self.available - revived

    def share(self, block_ids: Sequence[int]) -> None:
        """Hold blocks found by `lookup`."""
        for block_id in block_ids:
            block = self._blocks[block_id]
            if not block.refs:
                self._available.remove(block)
                self._cached -= 1
            block.refs += 1

    def allocate(self, count: int) -> list[int]:
        """Hold `count` blocks of nobody's; what was cached in them is forgotten.

        Raises OutOfBlocks, with nothing changed.
        """
        if count > self.available:
            raise OutOfBlocks(f"{count} blocks asked for, {self.available} available")
        return [self._take().id for _ in range(count)]

    def release(self, block_ids: Sequence[int]) -> None:
        """Let go of a sequence's blocks, given in the order of its tokens.

        They are let go from the back, so that the tail of a prompt is evicted before the head others may
        share. Raises IntegrityError for a block nobody holds.
        """
        for block_id in reversed(block_ids):
            block = self._blocks[block_id]
            if not block.refs:
                raise IntegrityError(f"block {block_id} was released but nobody holds it")
            block.refs -= 1
            if block.refs:
                continue
            if block.key is None:
                self._available.push_front(block)
            else:
                self._available.push_back(block)
                self._cached += 1

    def register(self, block_id: int, key: bytes) -> None:
        """Make a held block findable. Call it only after the forward pass that filled the block.

        A second block with the same contents stays anonymous: tables are append-only, nothing is merged
        later.
        """
        block = self._blocks[block_id]
        if block.key is None and key not in self._index:
            block.key = key
            self._index[key] = block

    def check_integrity(self, tables: Iterable[Sequence[int]]) -> None:
        """Compare the accounting with `tables`, the block tables of all live sequences. O(pool).

        Raises IntegrityError.
        """
        held = Counter(block_id for table in tables for block_id in table)
        linked = [block.id for block in self._available]
        if len(linked) != len(self._available) or len(set(linked)) != len(linked):
            raise IntegrityError(f"the list of available blocks is broken: {len(linked)} linked")
        available = set(linked)
        if 0 in available or held[0] or self._blocks[0].refs:
            raise IntegrityError("the null block is in circulation")
        for block in self._blocks[1:]:
            if block.refs != held[block.id]:
                raise IntegrityError(f"block {block.id} counts {block.refs} holders, {held[block.id]} exist")
            if (block.refs == 0) != (block.id in available):
                raise IntegrityError(f"block {block.id} with {block.refs} holders is in the wrong list")
            if block.key is not None and self._index.get(block.key) is not block:
                raise IntegrityError(f"block {block.id} has a key that does not lead to it")
        cached = sum(1 for block in self._available if block.key is not None)
        if cached != self._cached:
            raise IntegrityError(f"{self._cached} blocks count as cached, {cached} are")
        named = sum(1 for block in self._blocks if block.key is not None)
        if named != len(self._index):
            raise IntegrityError(f"{len(self._index)} keys lead to {named} blocks")

    def _take(self) -> Block:
        block = self._available.pop_front()
        if block.key is not None:
            del self._index[block.key]
            block.key = None
            self._cached -= 1
        block.refs = 1
        return block
