"""Renews, claims and hands over leases, in a thread of its own: one turn every half second."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from stream.base.clock import since_boot
from stream.base.foreign_json import foreign_json
from stream.base.log import log
from stream.base.ownership import SITE
from stream.cluster.board import Board
from stream.cluster.keeper import Keeper
from stream.cluster.records import LeaseStore, StoreError
from stream.cluster.standing import standing

BEAT_EVERY: Final = 0.5
_SAVED_A_TURN: Final = 4  # checkpoints, so that a beat never waits for many
_NEW: Final = 30.0  # seconds


class Renewal:
    """`run` is the body of the thread, which ends soon after `stop`."""

    def __init__(self, store: LeaseStore, keeper: Keeper, board: Board) -> None:
        self._store = store
        self._keeper = keeper
        self._board = board
        self._began = since_boot()
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._complained = self._told_of = ""

    def wake(self) -> None:
        """Begin the next turn now."""
        self._wake.set()

    def stop(self) -> None:
        self._stopped.set()
        self._wake.set()

    def run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self._turn()
                if self._complained:
                    log.info("leases can be renewed again")
                self._complained = ""
            except StoreError as error:
                if str(error) != self._complained:
                    self._complained = str(error)
                    log.error("leases cannot be renewed: cameras are not scored until they can", reason=str(error))
            self._wake.wait(max(0.0, began + BEAT_EVERY - time.monotonic()))
            self._wake.clear()

    def _turn(self) -> None:
        keeper = self._keeper
        self._exchange()
        self._look_for_strangers()
        keeper.place(since_boot())
        if claims := keeper.claims(since_boot(), self._board.ready):
            for key, claim in claims.items():
                self._store.claim(key, claim.record)
            self._exchange()
            won, back = keeper.confirm(claims, since_boot())
            for key, record in back.items():
                self._store.claim(key, record)
            self._load([key for key in won if key in keeper.cameras])
        self._hand_over()
        self._tell()
        for camera, checkpoint in self._board.take_to_save(_SAVED_A_TURN).items():
            if camera in self._board.open:
                self._store.save(camera, checkpoint)
        for session in keeper.over(since_boot()) if SITE in keeper.held else ():
            self._store.forget(session)

    def _exchange(self) -> None:
        keeper, board, began = self._keeper, self._board, since_boot()
        keeper.me = replace(
            keeper.me,
            number=keeper.me.number + 1,
            site=keeper.site,
            ready=tuple(sorted(board.ready)),
            standby=not keeper.takes_part,
            fence=keeper.held.get(f"@{keeper.me.worker}"),
        )
        snapshot = self._store.exchange(keeper.me)
        keeper.take_in(snapshot, began, since_boot())
        board.open = {key: fence for key, fence in board.open.items() if keeper.held.get(key) == fence}
        if float("-inf") < board.until <= since_boot():
            board.lapsed = board.until
        board.until = keeper.until

    def _look_for_strangers(self) -> None:
        stranger = self._keeper.stranger(since_boot())
        if stranger is None:
            self._told_of = ""
            return
        reason = (
            f"worker {stranger.worker} on {stranger.host} ({stranger.cluster}) keeps its leases in the same place, but "
            f"has another --node, other cameras or another number of shards than this one ({self._keeper.me.cluster}): "
            "use the same site file and flags for all, or give each cluster its own --topic-prefix"
        )
        if since_boot() - self._began < _NEW:  # the one that came later gives way
            self._board.fault = reason
        elif stranger.session != self._told_of:
            self._told_of = stranger.session
            log.error("instance ignored", reason=reason)

    def _load(self, cameras: Sequence[str]) -> None:
        for camera, checkpoint in self._store.load(cameras).items():
            try:
                told = foreign_json(checkpoint)
                if not isinstance(told, dict):
                    raise ValueError("not an object")
                self._board.loaded[camera] = told
            except ValueError:
                log.warning("checkpoint ignored: not of this program", camera=camera)

    def _hand_over(self) -> None:
        keeper, board = self._keeper, self._board
        # the loop may repeat itself, without a checkpoint, about a camera that has left and is ours again by now
        let_go = board.take_let_go().items()
        done = {camera: kept for camera, kept in let_go if kept is not None or camera in board.leaving}
        forgotten = keeper.forgotten(since_boot())
        leaving = keeper.leaving(since_boot(), board.delivers)
        removed = keeper.removed()
        released = keeper.released([*done, *(leaving & {SITE}), *removed])
        # first out of `open`, then out of `leaving`: else the loop takes a camera over again in between
        board.open = {key: fence for key, fence in board.open.items() if key in keeper.held}
        board.leaving = leaving - {SITE} - done.keys()
        for camera, checkpoint in done.items():
            if checkpoint is not None:
                self._store.save(camera, checkpoint)
        for camera in removed:
            self._store.save(camera, b"")
        for key, record in {**forgotten, **released}.items():
            self._store.claim(key, record)

    def _tell(self) -> None:
        keeper, board = self._keeper, self._board
        board.open = dict(keeper.held)
        board.orphans = keeper.orphans & keeper.held.keys()
        wanted = keeper.held.keys() | keeper.mine if keeper.takes_part else frozenset()
        board.watch = frozenset(wanted & keeper.cameras.keys()) - keeper.orphans
        if (told := standing(keeper)) != board.standing:  # the loop publishes what is another object
            board.standing = told

    def release(self) -> None:
        """At the end: save what waits, release what is ours, so that others need not wait, and close the store."""
        try:
            for camera, checkpoint in self._board.take_to_save(len(self._board.to_save)).items():
                if camera in self._board.open:
                    self._store.save(camera, checkpoint)
            for key, record in self._keeper.released(list(self._keeper.held)).items():
                self._store.claim(key, record)
            self._store.forget(self._keeper.me.session)
        except StoreError as error:
            log.warning("leases not released: others take over when they lapse", reason=str(error))
        self._board.open = {}
        self._store.close()
