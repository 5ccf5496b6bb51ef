; 4-level paging: high halves, 1 GiB pages, NX at every level, reserved bits, recursion, memory above 4 GiB.
; high-memory: 4
%include "long64.inc"
%define PDPT_HIGH 0x200000
%define PD_HIGH 0x201000
main:
  ; the upper half: PML4 entry 511, its last GiB by a directory
  mov edi, PDPT_HIGH
  mov ecx, 2048
  xor eax, eax
  rep stosd
  mov qword [PML4 + 8 * 511], PDPT_HIGH | 3
  mov qword [PDPT_HIGH + 8 * 510], PD_HIGH | 3
  mov qword [PD_HIGH], 0x83
  mov rbx, 0xFFFFFFFF80000000
  mov dword [0x9000], 0 ; not written: the case is there
  mov eax, [rbx + main]
  check_eq eax, [main]
  ; code runs there
  lea rax, [rbx + .high]
  jmp rax
.high:
  lea rax, [rel .high]
  lea rcx, [rbx + .high]
  check_eq rax, rcx
  mov rax, .low
  jmp rax
.low:
  ; memory above 4 GiB
  mov rax, 0x100000083
  mov [PD_HIGH + 8], rax
  mov rcx, 0x1122334455667788
  mov [rbx + 0x200000], rcx
  check_eq rcx, [rbx + 0x200000]
  mov rax, 0x100200083
  mov [PD_HIGH + 16], rax
  mov [rbx + 0x400008], rcx
  check_eq rcx, [rbx + 0x400008]
  mov rax, [rbx + 0x200008]
  check_eq rax, 0
  ; an access over the end of one page to another frame
  mov [rbx + 0x3FFFFC], rcx
  check_eq dword [rbx + 0x400000], 0x11223344
  ; user access is denied where any level denies it
  or qword [PD_HIGH + 8], 4
  or qword [PDPT_HIGH + 8 * 510], 4
  mov rax, cr3
  mov cr3, rax
  allow_user
  arm_fault .u1
  enter_user .user1
.user1:
  mov rax, 0xFFFFFFFF80200000
.user1_read:
  mov eax, [rax]
  fail "read"
.u1:
  check_eq dword [fault_vector], PF
  check_eq dword [fault_error], 5
  check_eq qword [fault_rip], .user1_read
  ; writing is denied where any level denies it
  and qword [PDPT_HIGH + 8 * 510], ~2
  mov rax, cr3
  mov cr3, rax
  mov eax, [rbx + 0x200000]
  expect_fault PF, 3, mov [rbx + 0x200000], eax
  or qword [PDPT_HIGH + 8 * 510], 2
  ; NX in the PML4 entry
  mov rax, 1 << 63
  or [PML4 + 8 * 511], rax
  mov rax, cr3
  mov cr3, rax
  lea rax, [rbx + .high]
  arm_fault .nx
  jmp rax
.nx:
  check_eq dword [fault_vector], PF
  check_eq dword [fault_error], 0x11
  mov rax, 1 << 63
  xor [PML4 + 8 * 511], rax
  ; reserved: bit 13 of a 2 MiB page, bit 7 of a PML4 entry
  mov qword [PD_HIGH + 24], 0x2083
  expect_fault PF, 9, mov eax, [rbx + 0x600000]
  mov qword [PML4 + 8 * 256], PDPT_HIGH | 0x83
  mov rax, 0xFFFF800000000000
  expect_fault PF, 9, mov eax, [rax]
  check_eq rax, [fault_cr2]
  mov qword [PML4 + 8 * 256], 0
  ; 1 GiB pages
  require_cpuid 0x80000001, edx, 26, "1 GiB pages"
  mov qword [PDPT_HIGH + 8 * 511], 0x83
  mov rbx, 0xFFFFFFFFC0000000
  mov eax, [rbx + main]
  check_eq eax, [main]
  mov rax, [PDPT_HIGH + 8 * 511]
  check_eq eax, 0xA3
  mov dword [rbx + PLAY], 0x5A5A
  check_eq dword [PLAY], 0x5A5A
  mov rax, [PDPT_HIGH + 8 * 511]
  check_eq eax, 0xE3
  pass
