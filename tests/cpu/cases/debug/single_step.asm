; RFLAGS.TF: a trap after every instruction that began with TF set, and what suspends it.
; KVM without hardware behind it emulates no single step.
; kvm: hardware
%include "long64.inc"
; step instruction: runs it with TF set; the trap must come behind it.
%macro step 1+
  xor eax, eax
  mov dr6, rax
  arm_fault %%resume
  pushfq
  or qword [rsp], 0x100
  popfq
  %1
%%behind:
  nop
  nop
  fail "no trap"
%%resume:
  check_eq dword [fault_vector], DB
  check_eq qword [fault_rip], %%behind
  test dword [fault_rflags], 0x100
  check nz
  mov rax, dr6
  check_eq eax, 0xFFFF4FF0
%endmacro
main:
  step nop
  step mov rbx, [rsp]
  step cpuid
  step add ecx, 1
  step mov rcx, cr0
  sti
  cli
  ; POPF that clears TF is still followed by a trap
  arm_fault .popped
  pushfq
  pushfq
  or qword [rsp], 0x100
  popfq
  popfq
.behind_popf:
  fail "no trap"
.popped:
  check_eq qword [fault_rip], .behind_popf
  test dword [fault_rflags], 0x100
  check z
  ; after STI as well
  step sti
  cli
  ; not after MOV SS
  xor ecx, ecx
  mov ebx, KDATA
  arm_fault .over_ss
  pushfq
  or qword [rsp], 0x100
  popfq
  mov ss, ebx
  inc ecx
.behind_ss:
  fail "no trap"
.over_ss:
  check_eq ecx, 1
  check_eq qword [fault_rip], .behind_ss
  ; a branch: behind it is where it goes
  arm_fault .branched
  pushfq
  or qword [rsp], 0x100
  popfq
  jmp .branch_target
  nop
.branch_target:
  fail "no trap"
.branched:
  check_eq qword [fault_rip], .branch_target
  ; repeated strings: after each iteration
  mov ecx, 3
  mov esi, PLAY
  mov edi, PLAY + 0x100
  arm_fault .iterated
  pushfq
  or qword [rsp], 0x100
  popfq
.rep:
  rep movsb
.iterated:
  check_eq ecx, 2
  check_eq qword [fault_rip], .rep
  ; INT n enters its handler unstepped; the trap comes after the IRET's next instruction
  on_vector 0x55, .handler
  mov dword [count], 0
  arm_fault .after_int
  pushfq
  or qword [rsp], 0x100
  popfq
  int 0x55
.from_int:
  inc dword [count]
.int_behind:
  fail "no trap"
.after_int:
  check_eq qword [fault_rip], .int_behind
  check_eq dword [count], 101
  jmp .next
.handler:
  add dword [count], 100
  add rsp, 16
  iretq
.next:
  ; a fault wins over the step
  arm_fault .faulted
  pushfq
  or qword [rsp], 0x100
  popfq
.ud:
  ud2
.faulted:
  check_eq dword [fault_vector], UD
  test dword [fault_rflags], 0x10100
  check nz
  ; SYSCALL with TF in SFMASK is not stepped
  set_msr 0xC0000081, (UCODE32 << 16) | KCODE64, 0
  set_msr 0xC0000082, 0, .kernel
  set_msr 0xC0000084, 0, 0x700
  mov r14, rsp
  pushfq
  or qword [rsp], 0x100
  popfq
  syscall
  fail "came back"
.kernel:
  mov rsp, r14
  test r11d, 0x100
  check nz
  ; SYSRET that sets TF traps before the program's first instruction
  allow_user
  arm_fault .after_sysret
  mov ecx, .program
  mov r11d, 0x3102
  o64 sysret
.program:
  nop
  int 0x80
.after_sysret:
  check_eq dword [fault_vector], DB
  check_eq qword [fault_rip], .program
  check_eq qword [fault_cs], UCODE64 | 3
  ; HLT: the trap ends it
  arm_fault .halted
  pushfq
  or qword [rsp], 0x100
  popfq
  hlt
.behind_hlt:
  fail "no trap"
.halted:
  check_eq qword [fault_rip], .behind_hlt
  ; ICEBP: a trap that leaves DR6 alone
  xor eax, eax
  mov dr6, rax
  expect_trap DB, 0, db 0xF1
  mov rax, dr6
  check_eq eax, 0xFFFF0FF0
  pass
count: dd 0
