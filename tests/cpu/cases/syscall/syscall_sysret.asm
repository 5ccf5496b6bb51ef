; SYSCALL and SYSRET: RCX, R11, SFMASK, the segments, and the way back to 64-bit and 32-bit ring 3.
; kvm: hardware
%include "long64.inc"
main:
  allow_user
  set_msr 0xC0000081, (UCODE32 << 16) | KCODE64, 0 ; STAR: sysret base | syscall CS
  set_msr 0xC0000082, 0, kernel_entry
  set_msr 0xC0000084, 0, 0x700 ; SFMASK: IF TF DF
  mov qword [back], .first
  mov r14, rsp
  enter_user user
.first:
  check_eq rcx, after_syscall
  mov rax, r11
  and eax, 0x3200 | 0x400
  check_eq eax, 0x3400 ; what user code had: IOPL 3, DF
  pushfq
  pop rax
  test eax, 0x400 | 0x200
  check z
  mov ax, cs
  check_eq ax, KCODE64
  mov ax, ss
  check_eq ax, KDATA
  ; back to 64-bit
  mov qword [back], .second
  mov ecx, user2
  mov r11d, 0x3202 & ~0x200
  o64 sysret
.second:
  mov ax, [seen_cs]
  check_eq ax, UCODE64 | 3
  mov ax, [seen_ss]
  check_eq ax, UDATA | 3
  ; back to compatibility mode: by INT 0x80, as SYSCALL there is AMD's alone
  arm_fault .third
  mov ecx, user32
  mov r11d, 0x3002
  o32 sysret
.third:
  check_eq dword [fault_vector], 0x80
  check_eq qword [fault_cs], UCODE32 | 3
  ; EFER.SCE off: #UD
  mov ecx, 0xC0000080
  rdmsr
  btr eax, 0
  wrmsr
  expect_fault UD, 0, syscall
  pass
kernel_entry:
  mov rsp, r14
  jmp [back]
user:
  std
  syscall
after_syscall:
  fail "came back to the wrong place"
user2:
  mov ax, cs
  mov [seen_cs], ax
  mov ax, ss
  mov [seen_ss], ax
  syscall
  bits 32
user32:
  int 0x80
  bits 64
back: dq 0
seen_cs: dw 0
seen_ss: dw 0
