// Writes AML, the byte code of ACPI's DSDT: every function gives the encoding of one term, to be nested like the ASL
// source it stands for. Source: ACPI 6.5, 20.2 (grammar). Names are given as in ASL ("_SB", "\\_SB.PCI0"); segments of
// up to four characters. All input is ours, so nothing is checked here: the tests disassemble and recompile the result
// with iasl.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace vireo::boot::acpi::aml {

using Term = std::vector<u8>;
using Terms = std::vector<Term>;

Term join(const Terms& terms);

// Data (20.2.3)
Term integer(u64 value);
Term string(std::string_view text);
Term buffer(const Term& bytes);
Term package(const Terms& elements);  ///< up to 255
/// EISAID("PNP0A03"): three letters, four hexadecimal digits.
Term eisa_id(std::string_view id);
/// ToUUID("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
Term uuid(std::string_view text);

// Named objects (20.2.5)
Term path(std::string_view name);
Term name(std::string_view name, const Term& value);
Term scope(std::string_view name, const Terms& body);
Term device(std::string_view name, const Terms& body);
Term method(std::string_view name, unsigned arguments, bool serialized, const Terms& body);
Term create_dword_field(const Term& source, u64 byte_index, std::string_view name);

// Statements and expressions (20.2.5.3, 20.2.5.4)
Term argument(unsigned n);
Term local(unsigned n);
Term store(const Term& value, const Term& target);
Term bit_and(const Term& a, const Term& b, const Term& target);
Term bit_or(const Term& a, const Term& b, const Term& target);
Term equal(const Term& a, const Term& b);
Term logical_not(const Term& a);
Term if_then(const Term& condition, const Terms& body);
Term give_back(const Term& value);  ///< Return

// Resource descriptors (6.4) and the template that holds them
Term resources(const Terms& descriptors);
Term irq(unsigned number);  ///< IRQNoFlags: edge, active high, exclusive
Term io(u16 base, u8 length);
Term memory32_fixed(u32 base, u32 length);
Term word_bus(u16 first, u16 last);
Term word_io(u16 first, u16 last);
Term dword_memory(u32 first, u32 last);  ///< read/write, not cacheable, producer
Term qword_memory(u64 first, u64 last);

}  // namespace vireo::boot::acpi::aml
