; Page-fault error codes: present, write, user, reserved bit, instruction fetch; and CR2.
%include "long64.inc"
%define PTE(n) (PLAY_PT + 8 * (n))
%define PAGE(n) (PLAY + 0x1000 * (n))
main:
  mov qword [PTE(1)], 0
  mov qword [PTE(2)], PAGE(2) + 1
  mov rax, 0x8000000000000003 + PAGE(3)
  mov [PTE(3)], rax
  mov rax, 0x0008000000000003 + PAGE(4) ; bit 51: beyond the physical address
  mov [PTE(4)], rax
  mov rax, cr3
  mov cr3, rax
  expect_fault PF, 0, mov al, [PAGE(1) + 5]
  check_eq qword [fault_cr2], PAGE(1) + 5
  expect_fault PF, 2, mov [PAGE(1) + 6], al
  check_eq qword [fault_cr2], PAGE(1) + 6
  mov al, [PAGE(2)]
  expect_fault PF, 3, mov [PAGE(2)], al
  expect_fault PF, 9, mov al, [PAGE(4)]
  expect_fault PF, 0xB, mov [PAGE(4)], al
  ; fetches
  mov eax, PAGE(3)
  arm_fault .fetched
  call rax
  fail "executed"
.fetched:
  check_eq dword [fault_vector], PF
  check_eq dword [fault_error], 0x11
  check_eq qword [fault_rip], PAGE(3)
  mov eax, PAGE(1)
  arm_fault .fetched2
  call rax
  fail "executed"
.fetched2:
  check_eq dword [fault_error], 0x10
  ; an access over a page end: the fault is on the second page
  expect_fault PF, 2, mov [PAGE(1) - 3], rax
  check_eq qword [fault_cr2], PAGE(1)
  ; user
  allow_user
  arm_fault .u1
  enter_user .user_read
.user_read:
  mov al, [PAGE(5)]
  fail "read"
.u1:
  check_eq dword [fault_vector], PF
  check_eq dword [fault_error], 5
  check_eq qword [fault_rip], .user_read
  check_eq qword [fault_cs], UCODE64 | 3
  or qword [PTE(5)], 4
  and qword [PTE(5)], ~2
  invlpg [PAGE(5)]
  arm_fault .u2
  enter_user .user_write
.user_write:
  mov al, [PAGE(5)]
.user_store:
  mov [PAGE(5)], al
  fail "written"
.u2:
  check_eq dword [fault_error], 7
  check_eq qword [fault_rip], .user_store
  arm_fault .u3
  enter_user .user_absent
.user_absent:
  mov [PAGE(1)], al
  fail "written"
.u3:
  check_eq dword [fault_error], 6
  ; not canonical: #GP, with the stack segment's registers #SS
  mov rax, 0x0000800000000000
  expect_fault GP, 0, mov bl, [rax]
  mov rbp, rax
  expect_fault SS_, 0, mov bl, [rbp]
  pass
