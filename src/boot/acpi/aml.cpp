#include "boot/acpi/aml.h"

#include <array>

#include "base/bits.h"
#include "base/bytes.h"

namespace vireo::boot::acpi::aml {
namespace {

// Opcodes, ACPI 6.5 table 20.x names.
constexpr u8 ZeroOp = 0x00, OneOp = 0x01, NameOp = 0x08, BytePrefix = 0x0A, WordPrefix = 0x0B, DWordPrefix = 0x0C,
             StringPrefix = 0x0D, QWordPrefix = 0x0E, ScopeOp = 0x10, BufferOp = 0x11, PackageOp = 0x12,
             MethodOp = 0x14, DualNamePrefix = 0x2E, MultiNamePrefix = 0x2F, ExtOpPrefix = 0x5B, Local0Op = 0x60,
             Arg0Op = 0x68, StoreOp = 0x70, AndOp = 0x7B, OrOp = 0x7D, CreateDWordFieldOp = 0x8A, LnotOp = 0x92,
             LequalOp = 0x93, IfOp = 0xA0, ReturnOp = 0xA4;
constexpr u8 ExtDeviceOp = 0x82;

Term bytes(std::initializer_list<u8> list) { return list; }

/// PkgLength (20.2.4), which counts itself, and the contents.
Term with_package_length(const Term& contents) {
  const std::size_t size = contents.size();
  Term out;
  if (size + 1 < 0x40) {
    out.push_back(static_cast<u8>(size + 1));
  } else {
    const unsigned extra = size + 2 < (1u << 12) ? 1 : size + 3 < (1u << 20) ? 2 : 3;
    const std::size_t total = size + 1 + extra;
    out.push_back(static_cast<u8>(extra << 6 | (total & 15)));
    for (unsigned i = 0; i < extra; ++i) out.push_back(static_cast<u8>(total >> (4 + 8 * i)));
  }
  out.insert(out.end(), contents.begin(), contents.end());
  return out;
}

Term block(const Term& opcode, const Terms& parts) { return join({opcode, with_package_length(join(parts))}); }

unsigned hex_digit(char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10); }

/// An address-space descriptor: large item `tag` with fields of `width` bytes (6.4.3.5).
template <class T>
Term address_space(u8 tag, u8 type, u8 type_flags, T first, T last) {
  constexpr u8 kFixedBothEnds = 0x0C;
  ByteWriter out;
  out.put(tag);
  out.put(static_cast<u16>(3 + 5 * sizeof(T)));
  out.put(type);
  out.put(kFixedBothEnds);
  out.put(type_flags);
  out.put(T{0});  // granularity
  out.put(first);
  out.put(last);
  out.put(T{0});  // translation
  out.put(static_cast<T>(last - first + 1));
  return out.bytes();
}
constexpr u8 kWordTag = 0x88, kDwordTag = 0x87, kQwordTag = 0x8A;
constexpr u8 kMemory = 0, kIo = 1, kBusNumbers = 2;
constexpr u8 kReadWrite = 1, kEntireRange = 3;

}  // namespace

Term join(const Terms& terms) {
  Term out;
  for (const auto& term : terms) out.insert(out.end(), term.begin(), term.end());
  return out;
}

Term integer(u64 value) {
  if (value == 0) return bytes({ZeroOp});
  if (value == 1) return bytes({OneOp});
  ByteWriter out;
  if (value <= 0xFF) {
    out.put(BytePrefix), out.put(static_cast<u8>(value));
  } else if (value <= 0xFFFF) {
    out.put(WordPrefix), out.put(static_cast<u16>(value));
  } else if (value <= 0xFFFFFFFF) {
    out.put(DWordPrefix), out.put(static_cast<u32>(value));
  } else {
    out.put(QWordPrefix), out.put(value);
  }
  return out.bytes();
}

Term string(std::string_view text) {
  Term out{StringPrefix};
  for (const char c : text) out.push_back(static_cast<u8>(c));
  out.push_back(0);
  return out;
}

Term buffer(const Term& contents) { return block({BufferOp}, {integer(contents.size()), contents}); }

Term package(const Terms& elements) {
  return block({PackageOp}, {bytes({static_cast<u8>(elements.size())}), join(elements)});
}

Term eisa_id(std::string_view id) {
  const auto letter = [&](unsigned i) { return static_cast<u32>(id[i] - '@') & 31; };
  const u32 vendor = letter(0) << 10 | letter(1) << 5 | letter(2);
  const u32 product = hex_digit(id[3]) << 12 | hex_digit(id[4]) << 8 | hex_digit(id[5]) << 4 | hex_digit(id[6]);
  return integer(__builtin_bswap32(vendor << 16 | product));
}

Term uuid(std::string_view text) {
  // The first three groups are stored with their bytes reversed (19.6.142).
  constexpr std::array<u8, 16> kPosition = {6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34};
  Term out;
  for (const u8 at : kPosition) out.push_back(static_cast<u8>(hex_digit(text[at]) << 4 | hex_digit(text[at + 1u])));
  return buffer(out);
}

Term path(std::string_view name) {
  Term out;
  if (name.starts_with('\\')) {
    out.push_back('\\');
    name.remove_prefix(1);
  }
  Terms segments;
  while (!name.empty()) {
    const auto segment = name.substr(0, name.find('.'));
    Term padded(segment.begin(), segment.end());
    padded.resize(4, '_');
    segments.push_back(padded);
    name.remove_prefix(std::min(segment.size() + 1, name.size()));
  }
  if (segments.size() == 2) out.push_back(DualNamePrefix);
  if (segments.size() > 2) out.insert(out.end(), {MultiNamePrefix, static_cast<u8>(segments.size())});
  return join({out, join(segments)});
}

Term name(std::string_view name, const Term& value) { return join({{NameOp}, path(name), value}); }
Term scope(std::string_view name, const Terms& body) { return block({ScopeOp}, {path(name), join(body)}); }
Term device(std::string_view name, const Terms& body) {
  return block({ExtOpPrefix, ExtDeviceOp}, {path(name), join(body)});
}
Term method(std::string_view name, unsigned arguments, bool serialized, const Terms& body) {
  const u8 flags = static_cast<u8>(arguments | (serialized ? 8 : 0));
  return block({MethodOp}, {path(name), bytes({flags}), join(body)});
}
Term create_dword_field(const Term& source, u64 byte_index, std::string_view name) {
  return join({{CreateDWordFieldOp}, source, integer(byte_index), path(name)});
}

Term argument(unsigned n) { return bytes({static_cast<u8>(Arg0Op + n)}); }
Term local(unsigned n) { return bytes({static_cast<u8>(Local0Op + n)}); }
Term store(const Term& value, const Term& target) { return join({{StoreOp}, value, target}); }
Term bit_and(const Term& a, const Term& b, const Term& target) { return join({{AndOp}, a, b, target}); }
Term bit_or(const Term& a, const Term& b, const Term& target) { return join({{OrOp}, a, b, target}); }
Term equal(const Term& a, const Term& b) { return join({{LequalOp}, a, b}); }
Term logical_not(const Term& a) { return join({{LnotOp}, a}); }
Term if_then(const Term& condition, const Terms& body) { return block({IfOp}, {condition, join(body)}); }
Term give_back(const Term& value) { return join({{ReturnOp}, value}); }

Term resources(const Terms& descriptors) {
  constexpr u8 kEndTag = 0x79;
  return buffer(join({join(descriptors), bytes({kEndTag, 0})}));
}

Term irq(unsigned number) {
  const u16 mask = static_cast<u16>(1u << number);
  return bytes({0x22, static_cast<u8>(mask), static_cast<u8>(mask >> 8)});
}

Term io(u16 base, u8 length) {
  constexpr u8 kDecode16 = 1;
  ByteWriter out;
  out.put(u8{0x47}), out.put(kDecode16), out.put(base), out.put(base), out.put(u8{1}), out.put(length);
  return out.bytes();
}

Term memory32_fixed(u32 base, u32 length) {
  ByteWriter out;
  out.put(u8{0x86}), out.put(u16{9}), out.put(kReadWrite), out.put(base), out.put(length);
  return out.bytes();
}

Term word_bus(u16 first, u16 last) { return address_space<u16>(kWordTag, kBusNumbers, 0, first, last); }
Term word_io(u16 first, u16 last) { return address_space<u16>(kWordTag, kIo, kEntireRange, first, last); }
Term dword_memory(u32 first, u32 last) { return address_space<u32>(kDwordTag, kMemory, kReadWrite, first, last); }
Term qword_memory(u64 first, u64 last) { return address_space<u64>(kQwordTag, kMemory, kReadWrite, first, last); }

}  // namespace vireo::boot::acpi::aml
