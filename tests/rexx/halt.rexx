/* Makes a clone, says so in a file, and waits to be stopped; then cleans up. */
PARSE ARG image ready
SIGNAL ON HALT
ADDRESS QEMU
"register_base name=base image={{image}}"
"clone base=base name=short-lived"
IF RC \= 0 THEN EXIT 1
CALL LINEOUT ready, "ready"
CALL LINEOUT ready
DO FOREVER
  CALL SLEEP 1
END
EXIT 2

HALT:
SAY "stopped"
"delete name=short-lived"
SAY RC
EXIT 9
