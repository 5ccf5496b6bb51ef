; No IDT: the first exception shuts the CPU down.
; expect: triple-fault
%include "long64.inc"
main:
  lidt [.nothing]
  ud2
.nothing:
  dw 0
  dq 0
