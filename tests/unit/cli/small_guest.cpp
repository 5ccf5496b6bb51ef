#include "small_guest.h"

#include <fstream>

#include "base/bytes.h"

// 32-bit protected mode, flat segments, interrupts off (PVH). Loaded at 1 MiB. The 64-bit part builds an identity map
// of the first 1 GiB at 2 MiB.
asm(R"(
    .pushsection .rodata
    .balign 16
    .global small_guest_begin, small_guest_end
small_guest_begin:
    .code32
    movl $0x300000, %esp
    movb $'B', %al
    call 80f
1:  call 90f                    # next command in AL
    cmpb $'+', %al
    je 2f
    cmpb $'r', %al
    je 3f
    cmpb $'p', %al
    je 4f
    cmpb $'t', %al
    je 5f
    cmpb $'a', %al
    je 6f
    cmpb $'x', %al
    je 7f
    jmp 1b

2:  incb 0x310000
    movb 0x310000, %al
    addb $'0', %al
    call 80f
    jmp 1b

3:  movw $0xCF9, %dx            # reset control register
    movb $6, %al
    outb %al, %dx
    jmp .

4:  movw $0x604, %dx            # PM1 control: SLP_EN, S5
    movw $0x3400, %ax
    outw %ax, %dx
    jmp .

5:  pushl $0                    # an empty IDT
    pushl $0
    lidt (%esp)
    ud2

6:  movw $0x600, %dx            # PM1 status: PWRBTN
    inw %dx, %ax
    testw $0x100, %ax
    jz 6b
    movw $0x100, %ax
    outw %ax, %dx
    movb $'A', %al
    call 80f
    jmp 1b

7:  movl $0x201007, 0x200000    # PML4 -> PDPT -> PD with 2 MiB pages
    movl $0, 0x200004
    movl $0x202007, 0x201000
    movl $0, 0x201004
    movl $0x202000, %edi
    movl $0x87, %eax
71: movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $8, %edi
    addl $0x200000, %eax
    cmpl $0x203000, %edi
    jne 71b
    movl $0x200000, %eax
    movl %eax, %cr3
    movl $0x20, %eax            # PAE
    movl %eax, %cr4
    movl $0xC0000080, %ecx      # EFER.LME
    movl $0x100, %eax
    xorl %edx, %edx
    wrmsr
    movl $0x80000011, %eax
    movl %eax, %cr0
    movl $0x2FFFE0, %esi        # a GDT with one 64-bit code segment
    movl $0, (%esi)
    movl $0, 4(%esi)
    movl $0x0000FFFF, 8(%esi)
    movl $0x00AF9B00, 12(%esi)
    movw $15, -8(%esi)
    movl %esi, -6(%esi)
    lgdt -8(%esi)
    call 72f
72: popl %eax
    addl $(73f - 72b), %eax
    pushl $8
    pushl %eax
    lret
73: .code64
    movl $0x310010, %edi
    movl $1, %ebx
    movl $2, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    movq %rax, (%rdi)
    movq %rax, 8(%rdi)
    lock cmpxchg16b (%rdi)
    jnz 74f
    cmpl $1, (%rdi)
    jne 74f
    cmpl $2, 8(%rdi)
    jne 74f
    movw $0x3F8, %dx
    movb $'X', %al
    outb %al, %dx
74: movw $0x604, %dx
    movw $0x3400, %ax
    outw %ax, %dx
    jmp .

    .code32
80: pushl %edx                  # prints AL
    movw $0x3F8, %dx
    outb %al, %dx
    popl %edx
    ret

90: movw $0x3FD, %dx            # waits for a byte and returns it in AL
    inb %dx, %al
    testb $1, %al
    jz 90b
    movw $0x3F8, %dx
    inb %dx, %al
    ret
small_guest_end:
    .code64
    .popsection
)");

extern "C" const vireo::u8 small_guest_begin[], small_guest_end[];

namespace vireo::cli {

std::vector<u8> small_guest() {
  constexpr u32 kEntry = 0x100000;
  const auto code_size = static_cast<u64>(small_guest_end - small_guest_begin);
  ByteWriter out;
  constexpr u64 kHeader = 64, kPrograms = 2 * 56, kNote = 20, kCode = 0x1000;
  // ELF header (System V ABI, chapter 4)
  out.put<u64>(0x00010102'464C457F);  // 64 bit, little endian
  out.put<u64>(0);
  out.put<u16>(2);   // ET_EXEC
  out.put<u16>(62);  // EM_X86_64
  out.put<u32>(1);
  out.put<u64>(kEntry);
  out.put<u64>(kHeader);  // program headers
  out.put<u64>(0);
  out.put<u32>(0);
  out.put<u16>(64);
  out.put<u16>(56);
  out.put<u16>(2);
  out.put<u16>(0);
  out.put<u16>(0);
  out.put<u16>(0);
  const auto program = [&](u32 type, u64 offset, u64 address, u64 size) {
    out.put<u32>(type);
    out.put<u32>(7);
    out.put(offset);
    out.put(address);
    out.put(address);
    out.put(size);
    out.put(size);
    out.put<u64>(4);
  };
  program(1, kCode, kEntry, code_size);       // PT_LOAD
  program(4, kHeader + kPrograms, 0, kNote);  // PT_NOTE
  // XEN_ELFNOTE_PHYS32_ENTRY
  out.put<u32>(4);
  out.put<u32>(4);
  out.put<u32>(18);
  out.put<u32>(0x006E6558);  // "Xen"
  out.put<u32>(kEntry);
  out.bytes().resize(kCode);
  out.put_bytes({small_guest_begin, code_size});
  return std::move(out.bytes());
}

void write_file(const std::string& path, const std::vector<u8>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace vireo::cli
