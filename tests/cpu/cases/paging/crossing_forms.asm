; Accesses and instructions of every size at every place over the end of a page: pages that are neighbours in RAM, pages that
; are not, and an absent second page, into which nothing may go.
; kvm: hardware
%include "long64.inc"
%define PTE(n) (PLAY_PT + 8 * (n))
%define PAGE(n) (PLAY + 0x1000 * (n))
; each_place: with RBX at every place from 64 bytes before R12, the end of a page, to R12 itself; the bytes are read back one
; by one.
%macro each_place 2 ; bytes, instruction that copies from [r9] to [rbx]
  mov rbx, r12
  sub rbx, 64
%%place:
  call clear
  mov r9d, source
  %2
  mov ecx, 0
%%byte:
  mov al, [rbx + rcx]
  cmp al, [source + rcx]
  check e
  inc ecx
  cmp ecx, %1
  jne %%byte
  cmp byte [rbx + %1], 0
  check e
  cmp byte [rbx - 1], 0
  check e
  inc rbx
  cmp rbx, r12
  jbe %%place
%endmacro
%macro via 2 ; register, instruction: there and back, so that loads cross too
  %2 %1, [r9]
  %2 [rbx], %1
  pxor xmm3, xmm3
  %2 %1, [rbx]
  call clear
  %2 [rbx], %1
%endmacro
%macro absent 1+ ; with RBX so that the access goes into the absent page
  mov qword [r12 - 8], 0
  expect_fault PF, 2, %1
  check_eq qword [fault_cr2], r12
  check_eq qword [r12 - 8], 0
%endmacro
main:
  mov rax, cr4
  or eax, 0x600 ; OSFXSR OSXMMEXCPT
  mov cr4, rax
  mov r15d, 2 ; twice: what has run before has its slots
.again:
  mov r12d, PAGE(9) ; behind page 8 in RAM too
  call all_forms
  mov r12d, PAGE(2) ; page 1 shows frame 7, page 2 frame 5
  mov qword [PTE(1)], PAGE(7) + 3
  mov qword [PTE(2)], PAGE(5) + 3
  mov rax, cr3
  mov cr3, rax
  call all_forms
  call all_instructions
  lea rbx, [r12 - 8] ; what must be aligned minds as much as within a page
  mov ebp, 3
.aligned:
  expect_fault GP, 0, movaps xmm1, [rbx]
  expect_fault GP, 0, paddd xmm1, [rbx]
  dec ebp
  jnz .aligned
  dec r15d
  jnz .again
  mov qword [PTE(3)], 0
  invlpg [PAGE(3)]
  mov r12d, PAGE(3)
  mov ebp, 3
.absent:
  lea rbx, [r12 - 1]
  absent mov [rbx], ax
  lea rbx, [r12 - 3]
  absent mov [rbx], eax
  absent add dword [rbx], -1
  absent lock add dword [rbx], -1
  absent xchg [rbx], eax
  lea rbx, [r12 - 7]
  absent mov [rbx], rax
  absent movups [rbx], xmm0
  absent fst qword [rbx]
  dec ebp
  jnz .absent
  pass
clear: ; 128 bytes around the end of the page
  push rcx
  mov ecx, 24
.next:
  mov qword [r12 + rcx * 8 - 96], 0
  dec ecx
  jns .next
  pop rcx
  ret
all_forms:
  each_place 1, {via al, mov}
  each_place 2, {via ax, mov}
  each_place 4, {via eax, mov}
  each_place 8, {via rax, mov}
  each_place 8, {via xmm1, movq}
  each_place 16, {via xmm1, movups}
  each_place 16, {via xmm1, movdqu}
  ret
; MOV R11, 0x1122334455667788 with as many prefixes as make 15 bytes, over the end of the page at every byte
all_instructions:
  mov rbx, r12
  sub rbx, 16
.place:
  call clear
  mov esi, longest
  mov rdi, rbx
  mov ecx, longest_end - longest
  rep movsb
  xor r11d, r11d
  call rbx
  mov rax, 0x1122334455667788
  check_eq r11, rax
  inc rbx
  cmp rbx, r12
  jbe .place
  ret
longest:
  db 0x2E, 0x3E, 0x26, 0x36, 0x2E
  mov r11, 0x1122334455667788
  ret
longest_end:
  align 16
source: db 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
  times 64 db 17
