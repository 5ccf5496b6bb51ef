; What POPF, IRET, CLI and STI may change by privilege, and protected-mode virtual interrupts (CR4.PVI).
; KVM without hardware behind it lets ring 3 run natively with the host's flags.
; kvm: hardware
%include "pm32.inc"
%macro user 3+ ; IOPL, vector, instructions
  arm_fault %%back
  push dword UDATA | 3
  push dword 0x300000
  push dword 0x202 | ((%1) << 12)
  push dword UCODE32 | 3
  push dword %%user
  iretd
%%user:
  %3
  int 0x80
%%back:
  check_eq dword [fault_vector], %2
%endmacro
%macro set_flags 1
  push dword %1
  popfd
%endmacro
%macro iret_flags 1
  push dword %1
  push cs
  push dword %%next
  iretd
%%next:
%endmacro
main:
  ; ring 0
  set_flags 0x247ED5 & ~0x300
  pushfd
  pop eax
  check_eq eax, 0x247CD7
  set_flags 0xFFFFFFFF & ~0x4300 ; VM, RF, VIF, VIP: not by POPF
  pushfd
  pop eax
  check_eq eax, 0x243CD7
  push word 0
  popfw
  pushfd
  pop eax
  check_eq eax, 0x240002
  set_flags 2
  ; ring 3: IOPL never, IF only with IOPL 3
  user 0, 0x80, set_flags 0x3002
  mov eax, [fault_eflags]
  and eax, 0x3200
  check_eq eax, 0x200
  user 3, 0x80, set_flags 0x0002
  mov eax, [fault_eflags]
  and eax, 0x3200
  check_eq eax, 0x3000
  user 0, 0x80, iret_flags 0x3002
  mov eax, [fault_eflags]
  and eax, 0x3200
  check_eq eax, 0x200
  user 3, 0x80, iret_flags 0x3002
  mov eax, [fault_eflags]
  and eax, 0x3200
  check_eq eax, 0x3000
  ; CLI and STI
  user 0, GP, cli
  user 2, GP, sti
  user 3, 0x80, cli
  test dword [fault_eflags], 0x200
  check z
  ; IRET at ring 0 sets VIF and VIP, POPF does not
  iret_flags 0x180002
  pushfd
  pop eax
  check_eq eax, 0x180002
  iret_flags 2
  ; PVI
  mov eax, cr4
  or eax, 2
  mov cr4, eax
  user 0, 0x80, sti
  test dword [fault_eflags], 0x80000
  check nz
  iret_flags 0x80002
  user 0, 0x80, cli
  test dword [fault_eflags], 0x80000
  check z
  test dword [fault_eflags], 0x200
  check nz
  pass
