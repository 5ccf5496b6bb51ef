; Accesses that cross pages: values, partial faults write nothing, read-modify-write, code over a page end, stack.
; kvm: hardware
%include "long64.inc"
%define PTE(n) (PLAY_PT + 8 * (n))
%define PAGE(n) (PLAY + 0x1000 * (n))
main:
  ; pages 1 and 2 show frames that are not neighbours
  mov qword [PTE(1)], PAGE(7) + 3
  mov qword [PTE(2)], PAGE(5) + 3
  mov qword [PTE(3)], 0
  mov rax, cr3
  mov cr3, rax
  mov rax, 0x1122334455667788
  mov [PAGE(2) - 3], rax
  check_eq dword [PAGE(5)], 0x22334455
  check_eq byte [PAGE(7) + 0xFFF], 0x66
  check_eq rax, [PAGE(2) - 3]
  mov eax, [PAGE(2) - 1]
  check_eq eax, 0x33445566
  add dword [PAGE(2) - 2], 0x01010101
  mov eax, [PAGE(2) - 2]
  check_eq eax, 0x45566778
  lock add dword [PAGE(2) - 2], 1
  mov eax, [PAGE(2) - 2]
  check_eq eax, 0x45566779
  lock xchg [PAGE(2) - 5], rax
  ; the second page is absent: nothing of the first is written
  mov qword [PAGE(5) + 0xFF8], 0
  mov rax, -1
  expect_fault PF, 2, mov [PAGE(3) - 4], rax
  check_eq qword [fault_cr2], PAGE(3)
  check_eq dword [PAGE(3) - 4], 0
  expect_fault PF, 2, lock add [PAGE(3) - 4], rax
  check_eq dword [PAGE(3) - 4], 0
  expect_fault PF, 0, mov rax, [PAGE(3) - 7]
  ; PUSH over the boundary, and a fault that leaves RSP
  mov rbp, rsp
  mov esp, PAGE(2) + 4
  push rbp
  pop rax
  check_eq rax, rbp
  mov esp, PAGE(3) + 4
  arm_fault .stack
  mov [fault_resume_rsp], rbp
  mov byte [idt64 + 16 * PF + 4], 1
  push rax
  fail "pushed"
.stack:
  check_eq dword [fault_error], 2
  check_eq qword [fault_rsp], PAGE(3) + 4
  ; an instruction over the end of page 1, in page 2 (other frames): mov eax, 0x12345678; ret
  mov byte [PAGE(2) - 2], 0xB8
  mov dword [PAGE(2) - 1], 0x12345678
  mov byte [PAGE(2) + 3], 0xC3
  mov ecx, PAGE(2) - 2
  call rcx
  check_eq eax, 0x12345678
  ; changed in its second page only
  mov byte [PAGE(5)], 0x99
  call rcx
  check_eq eax, 0x12349978
  ; its second page is absent: the fault is a fetch, at the page
  mov byte [PAGE(3) - 2], 0xB8
  mov ecx, PAGE(3) - 2
  arm_fault .fetch
  call rcx
  fail "executed"
.fetch:
  check_eq dword [fault_error], 0x10
  check_eq qword [fault_cr2], PAGE(3)
  check_eq qword [fault_rip], PAGE(3) - 2
  ; remapped: the same virtual address, other code behind the boundary
  mov qword [PTE(2)], PAGE(6) + 3
  invlpg [PAGE(2)]
  mov dword [PAGE(6)], 0xC3000000
  mov byte [PAGE(7) + 0xFFF], 0x11
  mov ecx, PAGE(2) - 2
  call rcx
  check_eq eax, 0x00000011
  pass
