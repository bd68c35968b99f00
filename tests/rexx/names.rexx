/* Values by {{name}}: they stay one value, whatever is in them. */
PARSE ARG image
TRACE OFF
ADDRESS QEMU
"register_base name=base image={{image}}"
IF RC \= 0 THEN EXIT 1

wanted = "from-variable"
"clone base=base name={{wanted}}"
SAY RC

evil = "a count=5"
"clone base=base name={{evil}}"
SAY RC
quoted = 'a" count="5'
"clone base=base name={{quoted}}"
SAY RC
outside = "../../outside"
"clone base=base name={{outside}}"
SAY RC
"clone base=base name={{never.set}}"
SAY RC

node.1.name = "from-stem"
i = 1
"clone base=base name={{node.i.name}}"
SAY RC

"list"
DO i = 1 TO RESULT.0; SAY RESULT.i.name; END
