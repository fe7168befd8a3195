r"""Terminals: the line discipline as pure logic, pseudo-terminals made of it, and job control.

master ──write──▶ ┌──────────── slave ────────────┐ ──read──▶ program
                  │ LineDiscipline: edits, echoes,│
screen ◀──read─── │ raises signals; Output: NL → CR NL │ ◀─write── program
                  └───────────────────────────────┘
"""
