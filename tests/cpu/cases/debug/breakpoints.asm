; Debug registers: instruction, data and I/O breakpoints, RF, GD, DR4/DR5, reserved bits, the MOV SS shadow.
; KVM without hardware behind it emulates no breakpoints.
; kvm: hardware
%include "long64.inc"
%macro clear_dr6 0
  xor eax, eax
  mov dr6, rax
%endmacro
%macro dr6_is 1
  mov rax, dr6
  check_eq eax, 0xFFFF0FF0 | (%1)
%endmacro
main:
  mov rax, dr7
  check_eq eax, 0x400
  dr6_is 0
  ; an instruction breakpoint is a fault with RF clear in the frame, and RF in the image passes it
  mov eax, .target
  mov dr0, rax
  mov eax, 0x2 | 0x400
  mov dr7, rax
  arm_fault .hit
.target:
  inc ebx
  fail "no breakpoint"
.hit:
  check_eq dword [fault_vector], DB
  check_eq qword [fault_rip], .target
  test dword [fault_rflags], 0x10000
  check z
  dr6_is 1
  clear_dr6
  xor ebx, ebx
  push KDATA
  push rsp
  add qword [rsp], 8
  push 0x10002
  push KCODE64
  push .again
  iretq
.again: ; RF lasts for one instruction only, this NOP
  nop
  arm_fault .hit2
  jmp .target
.hit2:
  check_eq ebx, 0
  push KDATA
  push rsp
  add qword [rsp], 8
  push 0x10002
  push KCODE64
  push .target2
  mov eax, .target2
  mov dr0, rax
  iretq
.target2:
  inc ebx
  check_eq ebx, 1
  ; not enabled: no exception, length and condition do not matter
  xor eax, eax
  mov dr7, rax
  clear_dr6
  ; a data breakpoint on writes of 4 bytes is a trap
  mov eax, watched
  mov dr1, rax
  mov eax, 0x400 | (0xD << 20) | (1 << 3)
  mov dr7, rax
  mov eax, [watched]
  expect_trap DB, 0, mov dword [watched], 1
  dr6_is 2
  clear_dr6
  expect_trap DB, 0, mov byte [watched + 3], 1
  mov byte [watched + 4], 1
  mov byte [watched - 1], 1
  expect_trap DB, 0, mov qword [watched - 4], 0
  xor eax, eax
  expect_trap DB, 0, lock xadd [watched], eax
  ; on reads as well
  mov eax, 0x400 | (0xF << 20) | (1 << 3)
  mov dr7, rax
  clear_dr6
  expect_trap DB, 0, mov al, [watched + 1]
  dr6_is 2
  ; two at once, one of them not enabled: both are reported
  mov eax, watched + 2
  mov dr2, rax
  mov eax, 0x400 | (0xF << 20) | (0x3 << 24) | (1 << 3)
  mov dr7, rax
  clear_dr6
  expect_trap DB, 0, mov eax, [watched]
  dr6_is 6
  ; repeated strings stop after the iteration that touched it
  mov eax, watched + 8
  mov dr2, rax
  mov eax, 0x400 | (0xD << 24) | (1 << 5)
  mov dr7, rax
  mov edi, watched
  mov ecx, 4
  xor eax, eax
  arm_fault .stopped
.rep:
  rep stosd
  fail "no trap"
.stopped:
  check_eq ecx, 1
  check_eq qword [fault_rip], .rep
  ; I/O breakpoints need CR4.DE
  mov eax, SCRATCH_PORT
  mov dr3, rax
  mov eax, 0x400 | (0x2 << 28) | (1 << 7)
  mov dr7, rax
  out SCRATCH_PORT, al
  mov rbx, cr4
  bts rbx, 3
  mov cr4, rbx
  clear_dr6
  expect_trap DB, 0, out SCRATCH_PORT, al
  dr6_is 8
  expect_trap DB, 0, in al, SCRATCH_PORT
  ; DR4 and DR5: aliases without DE, #UD with it
  expect_fault UD, 0, db 0x0F, 0x21, 0xE0 ; mov rax, dr4
  btr rbx, 3
  mov cr4, rbx
  db 0x0F, 0x21, 0xE8 ; mov rax, dr5
  mov rcx, dr7
  check_eq rax, rcx
  ; DR8 does not exist; reserved bits
  expect_fault UD, 0, db 0x44, 0x0F, 0x21, 0xC0
  mov rax, 0x100000000
  expect_fault GP, 0, mov dr7, rax
  expect_fault GP, 0, mov dr6, rax
  mov dr0, rax
  mov eax, -1
  mov dr6, rax
  dr6_is 0xE00F
  xor eax, eax
  mov dr7, rax
  mov rax, dr7
  check_eq rax, 0x400
  ; GD: any access faults, with BD, and GD is clear in the handler
  clear_dr6
  mov eax, 0x2400
  mov dr7, rax
  expect_fault DB, 0, mov rcx, dr0
  dr6_is 0x2000
  mov rax, dr7
  check_eq eax, 0x400
  ; a data breakpoint hit by MOV SS waits for the next instruction
  clear_dr6
  mov word [watched], KDATA
  mov eax, 0x400 | (0xF << 20) | (1 << 3)
  mov dr7, rax
  arm_fault .after_ss
  mov ss, [watched]
.shadowed:
  nop
.behind:
  fail "no trap"
.after_ss:
  check_eq qword [fault_rip], .behind
  dr6_is 2
  ; ICEBP right after it: one #DB for both
  clear_dr6
  on_vector DB, .count
  mov dword [traps], 0
  mov ss, [watched]
  db 0xF1
  check_eq dword [traps], 1
  dr6_is 2
  ; INT 1: the breakpoint's #DB interrupts the handler at its first instruction
  mov dword [traps], 0
  mov ss, [watched]
  int 1
  check_eq dword [traps], 2
  pass
.count:
  inc dword [traps]
  add rsp, 16
  iretq
traps: dd 0
  align 8
  dq 0
watched: times 4 dd 0
