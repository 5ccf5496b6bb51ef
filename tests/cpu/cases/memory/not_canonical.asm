; Addresses that are not canonical, by every kind of access: #GP, or #SS off RSP and RBP, and nothing has changed.
%include "long64.inc"
%macro all_at 1
  mov rbx, %1
  mov rbp, rbx
  expect_fault GP, 0, mov rax, [rbx]
  expect_fault GP, 0, mov [rbx], rax
  expect_fault GP, 0, mov rax, [rbx + 8]
  expect_fault GP, 0, mov al, [rbx + 1]
  expect_fault GP, 0, lock inc dword [rbx]
  expect_fault GP, 0, movups xmm0, [rbx]
  expect_fault GP, 0, mov rax, fs:[rbx]
  expect_fault GP, 0, push qword [rbx]
  expect_fault GP, 0, rep movsb
  expect_fault SS_, 0, mov rax, [rbp]
  expect_fault SS_, 0, mov [rbp], rax
  expect_fault SS_, 0, add qword [rbp], 1
  expect_fault SS_, 0, leave
  check_eq qword [fault_rsp], r13
  check_eq rbp, rbx
%endmacro
main:
  mov rax, cr4
  or eax, 0x600 ; OSFXSR OSXMMEXCPT
  mov cr4, rax
  mov r13, rsp
  xor ecx, ecx
  inc ecx
  mov r15d, 3 ; code that has run before is checked in another way
.again:
  mov rdi, 1 << 63
  mov rsi, rdi
  all_at 1 << 63
  all_at 0x800000000000
  all_at 0xFFFF7FFFFFFFFFF0
  dec r15d
  jnz .again
  pass
