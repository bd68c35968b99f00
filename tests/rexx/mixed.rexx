/* The shell's commands between our own, and an error that is trapped. */
PARSE ARG folder
SIGNAL ON ERROR
ADDRESS SYSTEM "qemu-img create -q -f qcow2" folder"/made.qcow2 16M"
IF RC = 0 THEN SAY "made"
ADDRESS QEMU
image = folder"/made.qcow2"
"register_base name=made image={{image}}"
"clone base=made name=c memory=512M cpus=1"
IF QEMU_SUCCESS = 1 THEN SAY QEMU_NAME QEMU_BASED_ON
"clone base=nowhere name=d"
SAY "never"
EXIT 0

ERROR:
SAY "line" SIGL":" RC CONDITION("D")
EXIT RC
