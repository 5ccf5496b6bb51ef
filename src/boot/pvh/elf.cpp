#include "boot/pvh/elf.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/pvh/spec.h"

namespace vireo::boot::pvh {
namespace {

struct ProgramHeader {
  u32 type = 0;
  u64 offset = 0, physical = 0, file_size = 0, memory_size = 0, alignment = 0;
};

/// Where the program headers are: the part of the ELF header that matters.
struct Table {
  bool wide = false;  ///< ELFCLASS64
  u64 offset = 0;
  u16 entry_size = 0, count = 0;
};

/// [offset, offset+size) of the file, or nothing when it is not all there.
std::optional<std::span<const u8>> part(std::span<const u8> file, u64 offset, u64 size) {
  if (offset > file.size() || size > file.size() - offset) return std::nullopt;
  return file.subspan(offset, size);
}

std::optional<Table> read_header(std::span<const u8> file) {
  ByteReader reader(file);
  reader.take<u32>();
  Table table{.wide = reader.take<u8>() == ELFCLASS64};
  reader.take_bytes(11);  // rest of e_ident
  reader.take_bytes(8);   // e_type, e_machine, e_version
  const auto word = [&] { return table.wide ? reader.take<u64>() : reader.take<u32>(); };
  word();  // e_entry
  table.offset = word();
  word();                // e_shoff
  reader.take_bytes(6);  // e_flags, e_ehsize
  table.entry_size = reader.take<u16>();
  table.count = reader.take<u16>();
  if (!reader.ok()) return std::nullopt;
  return table;
}

std::optional<ProgramHeader> read_program_header(std::span<const u8> file, const Table& table, unsigned index) {
  const auto bytes = part(file, table.offset + u64{index} * table.entry_size, table.wide ? 56 : 32);
  if (table.offset > file.size() || !bytes) return std::nullopt;
  ByteReader reader(*bytes);
  const auto word = [&] { return table.wide ? reader.take<u64>() : reader.take<u32>(); };
  ProgramHeader header;
  header.type = reader.take<u32>();
  if (table.wide) reader.take<u32>();  // p_flags
  header.offset = word();
  word();  // p_vaddr
  header.physical = word();
  header.file_size = word();
  header.memory_size = word();
  if (!table.wide) reader.take<u32>();  // p_flags
  header.alignment = word();
  return header;
}

/// The entry in the notes of one PT_NOTE segment.
std::optional<u32> find_entry(std::span<const u8> notes, u64 alignment) {
  const u64 step = alignment == 8 ? 8 : 4;
  ByteReader reader(notes);
  while (reader.remaining() >= 12) {
    const u32 name_size = reader.take<u32>();
    const u32 value_size = reader.take<u32>();
    const u32 type = reader.take<u32>();
    const auto take_padded = [&](u32 size) {
      const u64 padded = std::min<u64>(align_up(size, step), reader.remaining());
      const auto bytes = reader.take_bytes(padded);
      return bytes.first(std::min<u64>(size, bytes.size()));
    };
    const auto name = take_padded(name_size);
    const auto value = take_padded(value_size);
    const bool xen = name.size() == 4 && std::memcmp(name.data(), "Xen", 4) == 0;
    if (xen && type == XEN_ELFNOTE_PHYS32_ENTRY && value.size() >= 4) return load<u32>(value.data());
  }
  return std::nullopt;
}

}  // namespace

bool is_elf(std::span<const u8> file) { return file.size() >= 4 && load<u32>(file.data()) == ELFMAG; }

Result<ElfKernel> parse_elf(std::span<const u8> file, std::string_view name) {
  if (!is_elf(file)) return fail(ErrorKind::Usage, "'{}' is not an ELF file", name);
  const auto table = read_header(file);
  if (!table) return fail(ErrorKind::Usage, "kernel '{}' is truncated", name);
  const u8 width = file[4];
  const u16 type = load<u16>(&file[16]);
  const u16 machine = load<u16>(&file[18]);
  if (file[5] != ELFDATA2LSB || (width != ELFCLASS32 && width != ELFCLASS64) || (type != ET_EXEC && type != ET_DYN) ||
      (machine != EM_386 && machine != EM_X86_64)) {
    return fail(ErrorKind::Usage, "'{}' is an ELF file, but not an x86 kernel", name);
  }
  if (table->entry_size < (table->wide ? 56 : 32))
    return fail(ErrorKind::Usage, "kernel '{}' is corrupt: bad program headers", name);
  ElfKernel kernel;
  for (unsigned i = 0; i < table->count; ++i) {
    const auto header = read_program_header(file, *table, i);
    if (!header) return fail(ErrorKind::Usage, "kernel '{}' is truncated", name);
    if (header->type != PT_LOAD && header->type != PT_NOTE) continue;
    const auto bytes = part(file, header->offset, header->file_size);
    if (!bytes) return fail(ErrorKind::Usage, "kernel '{}' is truncated", name);
    if (header->type == PT_NOTE && !kernel.phys32_entry) kernel.phys32_entry = find_entry(*bytes, header->alignment);
    if (header->type == PT_LOAD && header->memory_size != 0) {
      if (header->file_size > header->memory_size)
        return fail(ErrorKind::Usage, "kernel '{}' is corrupt: bad program headers", name);
      kernel.segments.push_back({header->physical, header->memory_size, *bytes});
    }
  }
  if (kernel.segments.empty()) return fail(ErrorKind::Usage, "kernel '{}' has nothing to load", name);
  return kernel;
}

}  // namespace vireo::boot::pvh
