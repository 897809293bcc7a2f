"""Where a worker may die while it tells of a job, submits what follows it, or what the clock asks for."""

from __future__ import annotations

from tests.chaos.crash_places import CALLBACKS, FOLLOWERS, POST, SCHEDULES, SUBMIT
from tests.chaos.crash_steps import CrashPoint, after, before

TOLD_AGAIN = "the dead sender's hold ends, and another sends it, under the same name"
NOTHING_DONE = "nothing is written; whoever comes next does all of it"
RELAYED = "the relay's timer sends the job's message"

FOLLOW_CRASH_POINTS = (
    CrashPoint(
        "asked for: written, not committed",
        "told",
        after(SUBMIT, 2),
        "whoever got no answer asks again; who is told is told of one end, once",
    ),
    CrashPoint("told: before it is taken", "told", before(f"{CALLBACKS}.take", 3), TOLD_AGAIN),
    CrashPoint("told: taken, nothing sent", "told", after(f"{CALLBACKS}.take", moved=True), TOLD_AGAIN),
    CrashPoint("told: before it is sent", "told", before(POST), TOLD_AGAIN),
    CrashPoint("told: sent, not noted", "told", after(POST), TOLD_AGAIN),
    CrashPoint("told: noted", "told", after(f"{CALLBACKS}.settle"), "the others are sent"),
    CrashPoint("chain: read", "followed", after(f"{FOLLOWERS}.due", moved=True), NOTHING_DONE),
    CrashPoint("chain: written, not committed", "followed", after(SUBMIT, 3), NOTHING_DONE),
    CrashPoint(
        "chain: committed, nothing sent", "followed", after(f"{FOLLOWERS}.submit", moved=True), RELAYED
    ),
    CrashPoint("tick: read", "ticked", after(f"{SCHEDULES}.due", moved=True), NOTHING_DONE),
    CrashPoint("tick: written, not committed", "ticked", after(SUBMIT, 2), NOTHING_DONE),
    CrashPoint("tick: committed, nothing sent", "ticked", after(f"{SCHEDULES}.fire", moved=True), RELAYED),
)
