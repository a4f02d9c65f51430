//===- PrintC.cpp - Scalar ops of the llvm dialect as C99 -------*- C++ -*-===//
// Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//===----------------------------------------------------------------------===//
//
// A variable a value, a label a block. Integers are unsigned and cast where an
// op is signed, so that what overflows wraps. Memory is read and written by
// memcpy: that has no types to break, and compilers make a move of it. A global
// is the bits of its elements, f16 an integer that holds them.
//
//===----------------------------------------------------------------------===//

#include "AcmeC.h"
#include "Prelude.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace acmec;
using llvm::formatv;

namespace {
class Printer {
public:
  explicit Printer(ModuleOp module) : module(module) {}

  LogicalResult print(raw_ostream &os, std::string &error) {
    for (Operation &op : *module.getBody()) {
      if (auto global = dyn_cast<LLVM::GlobalOp>(op))
        printGlobal(global);
      else if (auto function = dyn_cast<LLVM::LLVMFuncOp>(op))
        printFunction(function);
      else
        fail(&op, "has no form in C");
    }
    if (!problem.empty()) {
      error = problem;
      return failure();
    }
    os << kPrelude << "\n";
    for (const std::string &definition : definitions)
      os << definition;
    os << "\n";
    for (const std::string &prototype : prototypes)
      os << prototype << ";\n";
    os << "\n" << globals << bodies;
    return success();
  }

private:
  void fail(Operation *op, const Twine &what) {
    if (problem.empty())
      llvm::raw_string_ostream(problem)
          << op->getName() << " " << what << ": " << op->getLoc();
  }

  //===--------------------------------------------------------------------===//
  // Types
  //===--------------------------------------------------------------------===//

  static unsigned width(Type type) { return type.getIntOrFloatBitWidth(); }

  std::string typeName(Type type) {
    if (isa<LLVM::LLVMVoidType>(type))
      return "void";
    if (isa<LLVM::LLVMPointerType>(type))
      return "char *";
    if (type.isF32() || type.isF64())
      return type.isF32() ? "float" : "double";
    if (type.isF16() || type.isBF16())
      return "uint16_t";
    if (auto integer = dyn_cast<IntegerType>(type)) {
      for (unsigned known : {8, 16, 32, 64})
        if (integer.getWidth() == known ||
            (known == 8 && integer.getWidth() == 1))
          return formatv("uint{0}_t", known);
    }
    auto array = dyn_cast<LLVM::LLVMArrayType>(type);
    auto record = dyn_cast<LLVM::LLVMStructType>(type);
    if (!array && (!record || record.isPacked() || record.isOpaque() ||
                   record.getBody().empty())) {
      if (problem.empty())
        llvm::raw_string_ostream(problem) << "C has no type for " << type;
      return "void";
    }
    if (auto known = typeNames.find(type); known != typeNames.end())
      return known->second;
    std::string text = "typedef struct {";
    if (array) {
      text += formatv("{0} a[{1}];", typeName(array.getElementType()),
                      std::max<unsigned>(1, array.getNumElements()));
    } else {
      for (auto [i, field] : llvm::enumerate(record.getBody()))
        text += formatv("{0} f{1}; ", typeName(field), i);
    }
    std::string name = formatv("t{0}", typeNames.size());
    definitions.push_back(text + "} " + name + ";\n");
    typeNames[type] = name;
    return name;
  }

  static std::string signedName(Type type) {
    return formatv("int{0}_t", std::max(8u, width(type)));
  }

  //===--------------------------------------------------------------------===//
  // Globals
  //===--------------------------------------------------------------------===//

  void printGlobal(LLVM::GlobalOp op) {
    Attribute value = op.getValueOrNull();
    llvm::raw_string_ostream os(globals);
    auto begin = [&](unsigned bits, int64_t count) {
      os << formatv("static {0}uint{1}_t {2}[{3}] = {{",
                    op.getConstant() ? "const " : "", bits, op.getSymName(),
                    std::max<int64_t>(1, count));
    };
    if (auto text = dyn_cast_or_null<StringAttr>(value)) {
      begin(8, text.size());
      for (unsigned char c : text.getValue())
        os << unsigned(c) << ",";
    } else if (auto elements = dyn_cast_or_null<ElementsAttr>(value)) {
      Type type = elements.getElementType();
      ArrayRef<char> raw;
      if (auto resource = dyn_cast<DenseResourceElementsAttr>(elements))
        if (AsmResourceBlob *blob = resource.getRawHandle().getBlob())
          raw = blob->getData();
      if (!raw.empty()) {
        begin(8, raw.size());
        for (unsigned char c : raw)
          os << unsigned(c) << ",";
      } else if (auto dense = dyn_cast<DenseElementsAttr>(elements)) {
        begin(std::max(8u, width(type)), dense.getNumElements());
        auto put = [&](const APInt &bits) {
          os << "0x" << llvm::utohexstr(bits.getZExtValue()) << "u"
             << (width(type) > 32 ? "ll," : ",");
        };
        if (isa<FloatType>(type))
          for (const APFloat &element : dense.getValues<APFloat>())
            put(element.bitcastToAPInt());
        else
          for (const APInt &element : dense.getValues<APInt>())
            put(element);
      } else {
        return fail(op, "has elements that are not there");
      }
    } else {
      return fail(op, "has a value that C has no form for");
    }
    os << "};\n";
  }

  //===--------------------------------------------------------------------===//
  // Values
  //===--------------------------------------------------------------------===//

  static std::string literal(Type type, Attribute value) {
    if (auto integer = dyn_cast<IntegerAttr>(value)) {
      uint64_t bits = integer.getValue().getZExtValue();
      return formatv("{0}u{1}", bits, width(type) > 32 ? "ll" : "");
    }
    auto number = cast<FloatAttr>(value).getValue();
    uint64_t bits = number.bitcastToAPInt().getZExtValue();
    if (width(type) == 16)
      return formatv("{0}u", bits);
    // By their bits: no number is rounded on the way.
    return formatv("f{0}_of({1:x}u{2})", width(type), bits,
                   width(type) > 32 ? "ll" : "");
  }

  std::string get(Value value) {
    Operation *op = value.getDefiningOp();
    Type type = value.getType();
    bool isRecord = isa<LLVM::LLVMStructType, LLVM::LLVMArrayType>(type);
    if (auto constant = dyn_cast_or_null<LLVM::ConstantOp>(op))
      if (isa<IntegerAttr, FloatAttr>(constant.getValue()))
        return literal(type, constant.getValue());
    if (isa_and_nonnull<LLVM::ZeroOp, LLVM::UndefOp, LLVM::PoisonOp>(op) &&
        !isRecord)
      return "0";
    auto [known, isNew] = names.try_emplace(value, "");
    if (isNew) {
      known->second = formatv("v{0}", names.size());
      std::string name = known->second;
      declarations += formatv("  {0} {1};\n", typeName(type), name);
      return name;
    }
    return known->second;
  }

  /// As the signed integer of the same width.
  std::string getSigned(Value value) {
    if (value.getType().isInteger(1))
      return formatv("({0} ? -1 : 0)", get(value));
    return formatv("({0}){1}", signedName(value.getType()), get(value));
  }

  /// `value` is what is written to a result.
  void assign(Operation &op, const Twine &value) {
    Value result = op.getResult(0);
    std::string text = value.str();
    if (result.getType().isInteger(1))
      text = "(" + text + ") & 1";
    statements += formatv("  {0} = ({1})({2});\n", get(result),
                          typeName(result.getType()), text);
  }

  void binary(Operation &op, StringRef sign, bool isSigned = false) {
    Value x = op.getOperand(0), y = op.getOperand(1);
    if (isSigned)
      return assign(op, getSigned(x) + " " + sign + " " + getSigned(y));
    // Narrow ones would become int, and overflow it.
    StringRef wide = isa<IntegerType>(x.getType()) && width(x.getType()) < 32
                         ? "(uint32_t)"
                         : "";
    assign(op, wide + get(x) + " " + sign + " " + get(y));
  }

  /// A function of C or of the prelude.
  void call(Operation &op, StringRef name) {
    SmallVector<std::string> arguments;
    for (Value operand : op.getOperands())
      arguments.push_back(get(operand));
    assign(op, name + "(" + llvm::join(arguments, ", ") + ")");
  }

  /// One of libm, of which there is one for each type.
  void callMath(Operation &op, StringRef name) {
    Type type = op.getResult(0).getType();
    if (!type.isF32() && !type.isF64())
      return fail(&op, "is of a type that libm has no function for");
    std::string full = (name + (type.isF32() ? "f" : "")).str();
    SmallVector<std::string> types(op.getNumOperands(), typeName(type));
    declare(full,
            typeName(type) + " " + full + "(" + llvm::join(types, ", ") + ")");
    call(op, full);
  }

  void declare(StringRef name, const Twine &prototype) {
    if (declared.insert(name).second)
      prototypes.push_back(prototype.str());
  }

  //===--------------------------------------------------------------------===//
  // Functions
  //===--------------------------------------------------------------------===//

  std::string signature(LLVM::LLVMFuncOp op) {
    SmallVector<std::string> parameters;
    for (auto [i, type] : llvm::enumerate(op.getArgumentTypes())) {
      std::string name;
      if (!op.isExternal())
        name = " " + (names[op.getArgument(i)] = formatv("p{0}", i).str());
      parameters.push_back(typeName(type) + name);
    }
    if (parameters.empty())
      parameters.push_back("void");
    bool isStatic =
        !op.isExternal() && (op.getLinkage() == LLVM::Linkage::Internal ||
                             op.getLinkage() == LLVM::Linkage::Private ||
                             op.getSymVisibility() == "private");
    bool isHidden = op.getVisibility_() == LLVM::Visibility::Hidden;
    return ((isStatic   ? "static "
             : isHidden ? "HIDDEN "
                        : "") +
            typeName(op.getFunctionType().getReturnType()) + " " +
            op.getSymName() + "(" + llvm::join(parameters, ", ") + ")")
        .str();
  }

  void printFunction(LLVM::LLVMFuncOp op) {
    StringRef name = op.getSymName();
    // Of the headers.
    if (op.isExternal() &&
        (name == "memcpy" || name == "memmove" || name == "memset"))
      return;
    names.clear();
    declarations.clear();
    statements.clear();
    std::string head = signature(op);
    declare(name, head);
    if (op.isExternal())
      return;
    labels.clear();
    for (Block &block : op.getBody())
      labels[&block] = formatv("b{0}", labels.size());
    for (Block &block : op.getBody()) {
      statements += labels[&block] + ":;\n";
      for (Operation &inner : block)
        printOp(inner);
    }
    // The first label is nobody's.
    StringRef text(statements);
    bodies += head + " {\n" + declarations + text.substr(5).str() + "}\n\n";
  }

  /// Goes to a block, with its arguments.
  std::string jump(Block *to, ValueRange arguments) {
    std::string text, after;
    for (auto [i, pair] :
         llvm::enumerate(llvm::zip(to->getArguments(), arguments))) {
      auto [parameter, argument] = pair;
      // All are read before the first is written.
      text += formatv("{0} n{1} = {2}; ", typeName(parameter.getType()), i,
                      get(argument));
      after += formatv("{0} = n{1}; ", get(parameter), i);
    }
    return "{ " + text + after + "goto " + labels[to] + "; }";
  }

  std::string place(Type &type, LLVM::GEPOp op) {
    type = op.getElemType();
    std::string text;
    bool isFirst = true;
    for (auto index : op.getIndices()) {
      std::string at;
      auto dynamic = dyn_cast<Value>(index);
      int64_t fixed = dynamic ? 0 : int64_t(cast<IntegerAttr>(index).getInt());
      at = dynamic ? getSigned(dynamic) : std::to_string(fixed);
      if (isFirst) {
        text =
            formatv("(({0} *){1})[{2}]", typeName(type), get(op.getBase()), at);
      } else if (auto record = dyn_cast<LLVM::LLVMStructType>(type)) {
        text += formatv(".f{0}", fixed);
        type = record.getBody()[fixed];
      } else {
        text += formatv(".a[{0}]", at);
        type = cast<LLVM::LLVMArrayType>(type).getElementType();
      }
      isFirst = false;
    }
    return text;
  }

  static std::string path(Type type, ArrayRef<int64_t> position) {
    std::string text;
    for (int64_t at : position) {
      if (auto record = dyn_cast<LLVM::LLVMStructType>(type)) {
        text += formatv(".f{0}", at);
        type = record.getBody()[at];
      } else {
        text += formatv(".a[{0}]", at);
        type = cast<LLVM::LLVMArrayType>(type).getElementType();
      }
    }
    return text;
  }

  std::string compare(LLVM::ICmpOp op) {
    using P = LLVM::ICmpPredicate;
    P p = op.getPredicate();
    bool isSigned = p == P::slt || p == P::sle || p == P::sgt || p == P::sge;
    auto side = [&](Value v) {
      if (isa<LLVM::LLVMPointerType>(v.getType()))
        return "(uintptr_t)" + get(v);
      return isSigned ? getSigned(v) : get(v);
    };
    StringRef sign = p == P::eq                   ? "=="
                     : p == P::ne                 ? "!="
                     : p == P::slt || p == P::ult ? "<"
                     : p == P::sle || p == P::ule ? "<="
                     : p == P::sgt || p == P::ugt ? ">"
                                                  : ">=";
    return (side(op.getLhs()) + " " + sign + " " + side(op.getRhs())).str();
  }

  std::string compare(LLVM::FCmpOp op) {
    // By the numbers of LLVM's predicates.
    static constexpr StringLiteral forms[] = {"0",
                                              "{0} == {1}",
                                              "{0} > {1}",
                                              "{0} >= {1}",
                                              "{0} < {1}",
                                              "{0} <= {1}",
                                              "{0} < {1} || {0} > {1}",
                                              "{0} == {0} && {1} == {1}",
                                              "!({0} < {1} || {0} > {1})",
                                              "!({0} <= {1})",
                                              "!({0} < {1})",
                                              "!({0} >= {1})",
                                              "!({0} > {1})",
                                              "{0} != {1}",
                                              "{0} != {0} || {1} != {1}",
                                              "1"};
    return formatv(/*Validate=*/false,
                   forms[static_cast<unsigned>(op.getPredicate())].data(),
                   get(op.getLhs()), get(op.getRhs()));
  }

  void printCall(LLVM::CallOp op) {
    SmallVector<std::string> arguments;
    ValueRange operands = op.getOperands();
    std::string callee;
    if (op.getCallee()) {
      callee = op.getCallee()->str();
    } else {
      SmallVector<std::string> types;
      for (Value operand : operands.drop_front())
        types.push_back(typeName(operand.getType()));
      callee = formatv("(({0} (*)({1}))(uintptr_t){2})",
                       op.getNumResults() ? typeName(op.getResult().getType())
                                          : "void",
                       llvm::join(types, ", "), get(operands.front()));
      operands = operands.drop_front();
    }
    for (Value operand : operands)
      arguments.push_back(get(operand));
    std::string text = callee + "(" + llvm::join(arguments, ", ") + ")";
    if (op.getNumResults())
      text = get(op.getResult()) + " = " + text;
    statements += "  " + text + ";\n";
  }

  void printOp(Operation &op);

  ModuleOp module;
  std::string problem, globals, bodies;
  std::vector<std::string> definitions, prototypes;
  llvm::StringSet<> declared;
  DenseMap<Type, std::string> typeNames;
  /// Of one function.
  DenseMap<Value, std::string> names;
  DenseMap<Block *, std::string> labels;
  std::string declarations, statements;
};
} // namespace

void Printer::printOp(Operation &op) {
  auto x = [&] { return get(op.getOperand(0)); };
  auto type = [&] { return op.getResult(0).getType(); };
  auto from = [&] { return op.getOperand(0).getType(); };
  auto emit = [&](const Twine &text) {
    statements += "  " + text.str() + "\n";
  };
  llvm::TypeSwitch<Operation *>(&op)
      .Case<LLVM::AddOp, LLVM::FAddOp>([&](auto) { binary(op, "+"); })
      .Case<LLVM::SubOp, LLVM::FSubOp>([&](auto) { binary(op, "-"); })
      .Case<LLVM::MulOp, LLVM::FMulOp>([&](auto) { binary(op, "*"); })
      .Case<LLVM::UDivOp, LLVM::FDivOp>([&](auto) { binary(op, "/"); })
      .Case([&](LLVM::URemOp) { binary(op, "%"); })
      .Case([&](LLVM::SDivOp) { binary(op, "/", true); })
      .Case([&](LLVM::SRemOp) { binary(op, "%", true); })
      .Case([&](LLVM::AndOp) { binary(op, "&"); })
      .Case([&](LLVM::OrOp) { binary(op, "|"); })
      .Case([&](LLVM::XOrOp) { binary(op, "^"); })
      .Case([&](LLVM::ShlOp) { binary(op, "<<"); })
      .Case([&](LLVM::LShrOp) { binary(op, ">>"); })
      .Case([&](LLVM::AShrOp) { binary(op, ">>", true); })
      .Case([&](LLVM::FNegOp) { assign(op, "-" + x()); })
      .Case([&](LLVM::FRemOp) { callMath(op, "fmod"); })
      .Case([&](LLVM::ICmpOp cmp) { assign(op, compare(cmp)); })
      .Case([&](LLVM::FCmpOp cmp) { assign(op, compare(cmp)); })
      .Case([&](LLVM::SelectOp select) {
        emit(get(select) + " = " + x() + " ? " + get(select.getTrueValue()) +
             " : " + get(select.getFalseValue()) + ";");
      })
      .Case<LLVM::TruncOp, LLVM::ZExtOp, LLVM::UIToFPOp, LLVM::FPToUIOp>(
          [&](auto) { assign(op, x()); })
      .Case<LLVM::SExtOp, LLVM::SIToFPOp>(
          [&](auto) { assign(op, getSigned(op.getOperand(0))); })
      .Case([&](LLVM::FPToSIOp) {
        assign(op, "(" + signedName(type()) + ")" + x());
      })
      .Case<LLVM::FPExtOp, LLVM::FPTruncOp>([&](auto) {
        if (from().isBF16() || type().isBF16())
          return fail(&op, "converts bf16; moek-expand-small-floats does that");
        assign(op, from().isF16()   ? "f32_of_f16(" + x() + ")"
                   : type().isF16() ? "f16_of_f32(" + x() + ")"
                                    : x());
      })
      .Case<LLVM::BitcastOp>([&](auto) {
        emit("{ " + typeName(from()) + " n = " + x() + "; memcpy(&" +
             get(op.getResult(0)) + ", &n, sizeof n); }");
      })
      .Case([&](LLVM::PtrToIntOp) { assign(op, "(uintptr_t)" + x()); })
      .Case([&](LLVM::IntToPtrOp) { assign(op, "(uintptr_t)" + x()); })
      .Case([&](LLVM::FreezeOp) { assign(op, x()); })
      .Case([&](LLVM::AddressOfOp address) {
        assign(op, "(uintptr_t)" + address.getGlobalName());
      })
      .Case([&](LLVM::ConstantOp constant) {
        if (!isa<IntegerAttr, FloatAttr>(constant.getValue()))
          fail(&op, "has a value that is no number");
      })
      .Case<LLVM::ZeroOp, LLVM::UndefOp, LLVM::PoisonOp>([&](auto) {
        if (isa<LLVM::LLVMStructType, LLVM::LLVMArrayType>(type()))
          emit("memset(&" + get(op.getResult(0)) + ", 0, sizeof " +
               get(op.getResult(0)) + ");");
      })
      .Case([&](LLVM::GEPOp gep) {
        Type element;
        std::string text = place(element, gep);
        assign(op, "&" + text);
      })
      .Case([&](LLVM::LoadOp load) {
        emit("memcpy(&" + get(load) + ", " + x() + ", sizeof " + get(load) +
             ");");
      })
      .Case([&](LLVM::StoreOp store) {
        emit("{ " + typeName(store.getValue().getType()) +
             " n = " + get(store.getValue()) + "; memcpy(" +
             get(store.getAddr()) + ", &n, sizeof n); }");
      })
      .Case([&](LLVM::AllocaOp alloca) {
        auto count = alloca.getArraySize().getDefiningOp<LLVM::ConstantOp>();
        if (!count)
          return fail(&op, "is of a size that is computed");
        // Aligned for all that is in it.
        declarations +=
            formatv("  uint64_t s{0}[(sizeof({1}) * {2} + 7) / 8];"
                    "\n",
                    get(alloca), typeName(alloca.getElemType()), get(count));
        assign(op, "s" + get(alloca));
      })
      .Case([&](LLVM::InsertValueOp insert) {
        emit(get(insert) + " = " + get(insert.getContainer()) + "; " +
             get(insert) +
             path(insert.getContainer().getType(), insert.getPosition()) +
             " = " + get(insert.getValue()) + ";");
      })
      .Case([&](LLVM::ExtractValueOp extract) {
        emit(get(extract) + " = " + get(extract.getContainer()) +
             path(extract.getContainer().getType(), extract.getPosition()) +
             ";");
      })
      .Case([&](LLVM::CallOp callOp) { printCall(callOp); })
      .Case([&](LLVM::BrOp br) {
        emit(jump(br.getDest(), br.getDestOperands()));
      })
      .Case([&](LLVM::CondBrOp br) {
        emit("if (" + x() + ") " +
             jump(br.getTrueDest(), br.getTrueDestOperands()) + " else " +
             jump(br.getFalseDest(), br.getFalseDestOperands()));
      })
      .Case([&](LLVM::SwitchOp br) {
        emit("switch (" + x() + ") {");
        if (auto values = br.getCaseValues())
          for (auto [value, to, operands] :
               llvm::zip(values->getValues<APInt>(), br.getCaseDestinations(),
                         br.getCaseOperands()))
            emit("case " + Twine(value.getZExtValue()) +
                 "ull: " + jump(to, operands));
        emit("default: " +
             jump(br.getDefaultDestination(), br.getDefaultOperands()));
        emit("}");
      })
      .Case([&](LLVM::ReturnOp) {
        emit(op.getNumOperands() ? "return " + x() + ";" : "return;");
      })
      .Case([&](LLVM::UnreachableOp) { emit("for (;;);"); })
      .Case<LLVM::MemcpyOp, LLVM::MemmoveOp>([&](auto copy) {
        emit("memmove(" + get(copy.getDst()) + ", " + get(copy.getSrc()) +
             ", " + get(copy.getLen()) + ");");
      })
      .Case([&](LLVM::MemsetOp set) {
        emit("memset(" + get(set.getDst()) + ", " + get(set.getVal()) + ", " +
             get(set.getLen()) + ");");
      })
      .Case([&](LLVM::CtPopOp) { call(op, "count_ones"); })
      .Case<LLVM::CountLeadingZerosOp, LLVM::CountTrailingZerosOp>([&](auto) {
        bool leading = isa<LLVM::CountLeadingZerosOp>(op);
        assign(op, Twine(leading ? "leading_zeros(" : "trailing_zeros(") + x() +
                       ", " + Twine(width(type())) + ")");
      })
      .Case([&](LLVM::AbsOp) {
        std::string value = getSigned(op.getOperand(0));
        assign(op, value + " < 0 ? 0u - " + x() + " : " + x());
      })
      .Case<LLVM::SMaxOp, LLVM::SMinOp, LLVM::UMaxOp, LLVM::UMinOp>([&](auto) {
        bool isSigned = isa<LLVM::SMaxOp, LLVM::SMinOp>(op);
        Value a = op.getOperand(0), b = op.getOperand(1);
        assign(op, (isSigned ? getSigned(a) : get(a)) +
                       (isa<LLVM::SMaxOp, LLVM::UMaxOp>(op) ? " > " : " < ") +
                       (isSigned ? getSigned(b) : get(b)) + " ? " + get(a) +
                       " : " + get(b));
      })
      .Case([&](LLVM::FAbsOp) {
        call(op, type().isF32() ? "f32_abs" : "f64_abs");
      })
      .Case([&](LLVM::CopySignOp) {
        call(op, type().isF32() ? "f32_copysign" : "f64_copysign");
      })
      .Case([&](LLVM::SqrtOp) { callMath(op, "sqrt"); })
      .Case([&](LLVM::FMAOp) { callMath(op, "fma"); })
      .Case([&](LLVM::MaxNumOp) { callMath(op, "fmax"); })
      .Case([&](LLVM::MinNumOp) { callMath(op, "fmin"); })
      .Default([&](Operation *) { fail(&op, "has no form in C"); });
}

LogicalResult acmec::printC(ModuleOp module, raw_ostream &os,
                            std::string &error) {
  return Printer(module).print(os, error);
}
