; Accesses whose pages change all the time, between changes of what is mapped there: what an engine remembers of a page is
; forgotten with it, whichever instruction it was remembered for.
; kvm: hardware
%include "long64.inc"
%define PTE(n) (PLAY_PT + 8 * (n))
%define PAGE(n) (PLAY + 0x1000 * (n))
%define ROUNDS 300
; Frame n is shown by page n and holds n; pages 1 and 2 show others, in turn.
main:
  mov ecx, 4
.fill:
  mov eax, ecx
  shl eax, 12
  mov [PLAY + eax], rcx
  inc ecx
  cmp ecx, 16
  jne .fill
  mov r15d, ROUNDS
.round:
  mov r14d, r15d
  and r14d, 3 ; frame 4 to 7 for page 1, 8 to 11 for page 2
  mov eax, r14d
  shl eax, 12
  lea ecx, [rax + PAGE(4) + 3]
  mov [PTE(1)], rcx
  lea ecx, [rax + PAGE(8) + 3]
  mov [PTE(2)], rcx
  test r15d, 1
  jz .all
  invlpg [PAGE(1)]
  invlpg [PAGE(2)]
  jmp .forgotten
.all:
  mov rax, cr3
  mov cr3, rax
.forgotten:
  mov r13d, 8 ; each site goes from page to page
.turn:
  lea r12, [r14 + 4]
  mov ebx, PAGE(1)
  call read
  check_eq rax, r12
  mov ebx, PAGE(12)
  call read
  check_eq rax, 12
  lea r12, [r14 + 8]
  mov ebx, PAGE(2)
  call read
  check_eq rax, r12
  mov ebx, PAGE(1)
  call write
  mov ebx, PAGE(13)
  call write
  mov ebx, PAGE(2)
  call write
  mov eax, r14d
  shl eax, 12
  check_eq qword [rax + PAGE(4) + 8], r13
  check_eq qword [rax + PAGE(8) + 16], r13
  check_eq qword [PAGE(13) + 16], r13
  mov ebx, PAGE(2) - 16 ; one of the two in each page
  call write
  check_eq qword [rax + PAGE(4) + 0xFF8], r13
  check_eq qword [rax + PAGE(8)], r13
  mov [rax + PAGE(8)], r12
  dec r13d
  jnz .turn
  dec r15d
  jnz .round
  ; Rights go as well.
  mov qword [PTE(1)], PAGE(4) + 1
  invlpg [PAGE(1)]
  mov r15d, 4
.rights:
  mov ebx, PAGE(13)
  call write
  arm_fault .refused
  mov ebx, PAGE(1)
  call write
  fail "no fault"
.refused:
  check_eq dword [fault_vector], PF
  check_eq dword [fault_error], 3
  mov ebx, PAGE(1)
  call read
  check_eq rax, 4
  dec r15d
  jnz .rights
  ; What is written becomes code, and is no less written then.
  mov qword [PTE(14)], 0 ; these do not follow page 13
  invlpg [PAGE(14)]
  mov r15d, PAGE(16)
.code:
  mov ebp, 3
.again:
  mov ebx, PAGE(13)
  call write
  mov r13, 0xC300000000B8 ; mov eax, EBP; ret
  mov eax, ebp
  shl rax, 8
  or r13, rax
  mov ebx, r15d
  cmp ebp, 3
  je .first
  call write
  lea rax, [r15 + 8]
  call rax
  check_eq eax, ebp
  mov r13, 0xC300000007B8 ; without another page in between
  call write
  lea rax, [r15 + 8]
  call rax
  check_eq eax, 7
  jmp .next
.first: ; nobody has run it yet
  call other_write
.next:
  dec ebp
  jnz .again
  add r15d, 0x1000
  cmp r15d, PAGE(48)
  jne .code
  pass
read:
  mov rax, [rbx]
  ret
write: ; two accesses off one register
  mov [rbx + 8], r13
  mov [rbx + 16], r13
  ret
other_write:
  mov [rbx + 8], r13
  mov [rbx + 16], r13
  ret
