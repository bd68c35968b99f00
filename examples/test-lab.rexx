#!/usr/bin/env cowherd
/*
 * A test lab: three machines of one base, the same change tried on each, a look at what it did, and back to where they
 * were. The words are the same for QEMU, LXD and NSPAWN: the engine is the second argument.
 *
 *     cowherd test-lab.rexx BASE [QEMU|LXD|NSPAWN]
 */
PARSE UPPER ARG . engine .
PARSE ARG base .
IF base = '' THEN DO
  SAY 'usage: test-lab.rexx BASE [QEMU|LXD|NSPAWN]'
  EXIT 64
END
IF engine = '' THEN engine = 'NSPAWN'
ADDRESS VALUE engine

"list name=lab-*"
IF RESULT.0 > 0 THEN "delete name=lab-* force=true"      /* of a run before this one */
SIGNAL ON ERROR

"clone_from_base base={{base}} name=lab count=3 start=true wait=true"
SAY RESULT

DO i = 1 TO 3
  "snapshot name=lab-"i "snapshot=clean"
  "execute name=lab-"i "command='echo change" i "> /etc/trial && cat /etc/machine-id'"
  SAY 'lab-'i':' STRIP(RESULT.stdout, 'T', '0A'x)
END

"copy_from name=lab-2 remote=/etc/trial local=trial.txt"
SAY 'lab-2 was changed:' LINEIN('trial.txt')

DO i = 1 TO 3
  "restore name=lab-"i "snapshot=clean"
END
"list name=lab-*"
DO i = 1 TO RESULT.0
  SAY RESULT.i.name RESULT.i.state
END

"delete name=lab-* force=true"
SAY RESULT
EXIT 0

ERROR:
SAY 'line' SIGL':' CONDITION('D') '->' RESULT
status = RC
SIGNAL OFF ERROR
"delete name=lab-* force=true"
EXIT status
