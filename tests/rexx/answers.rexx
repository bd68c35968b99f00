/* What a command leaves behind, on a real herd: register, clone, list, delete. Ends with 0 and "all well", or tells. */
PARSE ARG image
bad = 0
REQUIRE "rexxjs/address-qemu"
ADDRESS QEMU

"register_base name=base image={{image}}"
CALL is RC, 0, "register_base:" RESULT
CALL is RESULT.success, 1, "RESULT.success"
CALL is RESULT.operation, "register_base", "RESULT.operation"
CALL is QEMU_NAME, "base", "QEMU_NAME"
CALL is ERRORTEXT, "", "ERRORTEXT"

DO i = 1 TO 3
  "clone base=base name=web-" || i
  CALL is RC, 0, "clone" i":" RESULT
  CALL is QEMU_BASED_ON, "base", "QEMU_BASED_ON"
  CALL is QEMU_BASEDON, "base", "QEMU_BASEDON"
  CALL is STREAM(QEMU_DISK, "C", "QUERY EXISTS") \= "", 1, "a disk at" QEMU_DISK
  disk.i = QEMU_DISK
END
CALL is disk.1 \= disk.2, 1, "each clone has a disk of its own"

"list stem=mine."
CALL is RESULT.0, 3, "RESULT.0"
CALL is mine.0, 3, "mine.0"
CALL is QEMU_COUNT, 3, "QEMU_COUNT"
DO i = 1 TO RESULT.0
  CALL is RESULT.i.name, "web-" || i, "the name of clone" i
  CALL is mine.i.name, RESULT.i.name, "the same in the stem of our own"
  CALL is RESULT.i.state, "stopped", "the state of clone" i
  CALL is RESULT.i.base, "base", "the base of clone" i
END

TRACE OFF
"clone base=base name=web-2"
CALL is RC, 73, "a name that is taken"
CALL is POS("already exists", RESULT.error) > 0, 1, "its message:" RESULT.error
CALL is SYMBOL("RESULT.3.NAME"), "LIT", "nothing of the list before"
CALL is SYMBOL("QEMU_DISK"), "LIT", "nothing of the clone before"
CALL is ERRORTEXT, RESULT.error, "ERRORTEXT"
CALL is STREAM(disk.2, "C", "QUERY EXISTS") \= "", 1, "the disk of the first one is still there"

"clone base=bse name=web-9"
CALL is RC, 66, "a base that is not there"
CALL is POS("not found", RESULT.error) > 0, 1, "its message:" RESULT.error
"delete name=never-was"
CALL is RC, 66, "delete of what never was"

"delete name=web-*"
CALL is RC, 0, "delete by pattern:" RESULT
"list"
CALL is RESULT.0, 0, "what is left"
DO i = 1 TO RESULT.0; SAY "never" RESULT.i.name; END
"remove_base name=base"
CALL is RC, 0, "remove_base:" RESULT

IF bad = 0 THEN SAY "all well"
EXIT bad > 0

is: PROCEDURE EXPOSE bad SIGL
  PARSE ARG got, expected, what
  IF got = expected THEN RETURN
  SAY "line" SIGL": '"got"' instead of '"expected"':" what
  bad = bad + 1
  RETURN
