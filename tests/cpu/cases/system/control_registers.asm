; CR0, CR3, CR4, CR8, EFER: reserved bits, forbidden combinations, privilege, and what MOV, SMSW, LMSW and CLTS show.
; KVM without hardware behind it emulates these with fewer checks.
; kvm: hardware
%include "long64.inc"
%macro cr4_fault 1
  mov rbx, cr4
  mov rax, %1
  or rax, rbx
  expect_fault GP, 0, mov cr4, rax
%endmacro
main:
  mov rbx, cr0
  ; reserved upper half, PG without PE, NW without CD, leaving 64-bit mode by clearing PG
  mov rax, 0x100000000
  or rax, rbx
  expect_fault GP, 0, mov cr0, rax
  mov rax, rbx
  and eax, ~1
  expect_fault GP, 0, mov cr0, rax
  mov rax, rbx
  or eax, 0x20000000
  and eax, ~0x40000000
  expect_fault GP, 0, mov cr0, rax
  mov rax, rbx
  btr rax, 31
  expect_fault GP, 0, mov cr0, rax
  mov rax, cr0
  check_eq rax, rbx
  ; ET is always set; other undefined bits are ignored
  mov rax, rbx
  and eax, ~0x10
  mov cr0, rax
  mov rax, cr0
  check_eq rax, rbx
  ; TS: LMSW sets, CLTS clears; LMSW cannot clear PE
  smsw eax
  check_eq eax, ebx
  or eax, 8
  lmsw ax
  mov rax, cr0
  bt eax, 3
  check c
  xor eax, eax
  lmsw ax
  mov rax, cr0
  bt eax, 0
  check c
  bt eax, 3
  check nc
  mov cr0, rbx
  smsw [word_]
  mov ax, [word_]
  check_eq ax, bx
  mov eax, -1
  smsw ax
  mov ecx, ebx
  or ecx, 0xFFFF0000
  check_eq eax, ecx
  ; CR4: reserved bits; PAE cannot be cleared; PCIDE wants PCID 0
  cr4_fault 1 << 12
  cr4_fault 1 << 13
  cr4_fault 1 << 15
  cr4_fault 1 << 31
  cr4_fault 1 << 32
  mov rax, cr4
  btr eax, 5
  expect_fault GP, 0, mov cr4, rax
  ; CR3: bits above the physical address width
  mov rbx, cr3
  mov rax, rbx
  bts rax, 52
  expect_fault GP, 0, mov cr3, rax
  mov rax, rbx
  bts rax, 63
  expect_fault GP, 0, mov cr3, rax
  ; CR8
  mov eax, 5
  mov cr8, rax
  mov rcx, cr8
  check_eq rcx, 5
  mov eax, 16
  expect_fault GP, 0, mov cr8, rax
  xor eax, eax
  mov cr8, rax
  ; CR2 holds anything
  mov rax, 0x123456789ABCDEF0
  mov cr2, rax
  mov rcx, cr2
  check_eq rax, rcx
  ; those that do not exist
  expect_fault UD, 0, db 0x0F, 0x20, 0xC8 ; mov rax, cr1
  expect_fault UD, 0, db 0x0F, 0x22, 0xE8 ; mov cr5, rax
  expect_fault UD, 0, db 0x44, 0x0F, 0x20, 0xC8 ; mov rax, cr9
  ; EFER: reserved bits, LME with paging on, LMA is not writable
  mov ecx, 0xC0000080
  rdmsr
  mov ebx, eax
  or eax, 2
  expect_fault GP, 0, wrmsr
  mov eax, ebx
  and eax, ~0x100
  expect_fault GP, 0, wrmsr
  mov eax, ebx
  xor edx, edx
  and eax, ~0x400
  wrmsr
  rdmsr
  check_eq eax, ebx
  ; ring 3 may do none of it
  allow_user
%macro user_gp 1+
  arm_fault %%back
  enter_user %%user
%%user:
  %1
  int 0x80
%%back:
  check_eq dword [fault_vector], GP
  check_eq dword [fault_error], 0
  check_eq qword [fault_rip], %%user
%endmacro
  user_gp mov rax, cr0
  user_gp mov cr3, rax
  user_gp mov rax, cr8
  user_gp clts
  user_gp lmsw ax
  user_gp hlt
  user_gp invlpg [0]
  user_gp wbinvd
  user_gp rdmsr
  user_gp wrmsr
  user_gp mov rax, dr0
  user_gp lgdt [gdt_pointer]
  user_gp lidt [gdt_pointer]
  user_gp lldt ax
  user_gp ltr ax
  user_gp swapgs
  arm_fault .smsw
  enter_user .user
.user:
  smsw eax
  int 0x80
.smsw:
  check_eq dword [fault_vector], 0x80
  pass
word_: dw 0
