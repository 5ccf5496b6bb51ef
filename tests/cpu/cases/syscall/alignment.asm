; SYSRET to ring 3 with RFLAGS.AC, again and again: alignment is checked from the moment that CR0.AM says so.
; kvm: hardware
%include "long64.inc"
main:
  allow_user
  set_msr 0xC0000081, (UCODE32 << 16) | KCODE64, 0 ; STAR
  set_msr 0xC0000082, 0, kernel_entry
  set_msr 0xC0000084, 0, 0x47FD5 ; SFMASK
  mov rax, cr0
  btr eax, 18
  mov cr0, rax
  xor r15d, r15d
  mov r14, rsp
  enter_user user
user: ; ring 3
  mov eax, [data + 1]
  syscall
kernel_entry:
  mov [user_rsp], rsp
  mov rsp, r14
  inc r15d
  cmp r15d, 20
  jne .back
  mov rax, cr0
  bts eax, 18
  mov cr0, rax
  arm_fault .checked
.back:
  cmp r15d, 21
  jb .return
  fail "alignment is not checked"
.return:
  mov ecx, user
  mov r11d, 0x40002 ; AC
  mov rsp, [user_rsp]
  o64 sysret
.checked:
  check_eq dword [fault_vector], AC
  check_eq qword [fault_rip], user
  pass
  align 8
data: dq 0
user_rsp: dq 0
