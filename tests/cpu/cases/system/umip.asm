; CR4.UMIP: ring 3 may not read descriptor-table registers.
; KVM without hardware behind it emulates these with fewer checks.
; kvm: hardware
%include "long64.inc"
%macro user 2+ ; vector
  arm_fault %%back
  enter_user %%user
%%user:
  %2
  int 0x80
%%back:
  check_eq dword [fault_vector], %1
%endmacro
%macro all 1
  user %1, sgdt [room]
  user %1, sidt [room]
  user %1, sldt ax
  user %1, str ax
  user %1, smsw ax
%endmacro
main:
  require_cpuid 7, ecx, 2, "UMIP"
  allow_user
  all 0x80
  check_eq word [room], 256 * 16 - 1
  check_eq qword [room + 2], idt64
  mov rax, cr4
  bts rax, 11
  mov cr4, rax
  all GP
  sgdt [room] ; ring 0 may
  check_eq word [room], gdt_end - gdt - 1
  check_eq qword [room + 2], gdt
  str eax
  check_eq eax, TSS(0)
  pass
room: times 16 db 0
