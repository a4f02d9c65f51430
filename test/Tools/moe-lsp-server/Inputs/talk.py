"""Talks to a language server as an editor does.

usage: talk.py SERVER FILE.mlir with a moe.router
"""
import json
import subprocess
import sys

server, path = sys.argv[1:]
process = subprocess.Popen([server], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def send(method, parameters, number=None):
    message = {"jsonrpc": "2.0", "method": method, "params": parameters}
    if number is not None:
        message["id"] = number
    text = json.dumps(message).encode()
    process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
    process.stdin.flush()


def receive():
    length = None
    while True:
        line = process.stdout.readline().strip()
        if not line:
            break
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return json.loads(process.stdout.read(length))


def answer_of(number):
    while True:
        message = receive()
        if message.get("id") == number:
            return message["result"]


def diagnostics_of(uri, text):
    send("textDocument/didOpen", {"textDocument": {
        "uri": uri, "languageId": "mlir", "version": 1, "text": text}})
    while True:
        message = receive()
        if (message.get("method") == "textDocument/publishDiagnostics"
                and message["params"]["uri"] == uri):
            return message["params"]["diagnostics"]


send("initialize", {"processId": None, "rootUri": None, "capabilities": {}}, 1)
able = answer_of(1)["capabilities"]
print("initialized:" + (" hover," if able["hoverProvider"] else "") +
      (" definitions" if able["definitionProvider"] else ""))

with open(path) as file:
    text = file.read()
found = diagnostics_of("file:///good.mlir", text)
print("diagnostics of good.mlir: %d" % len(found))
lines = text.splitlines()
row = next(i for i, line in enumerate(lines)
           if "moe.router" in line and "//" not in line)
send("textDocument/hover", {
    "textDocument": {"uri": "file:///good.mlir"},
    "position": {"line": row, "character": lines[row].index("moe.router") + 1},
}, 2)
print("hover: " + " ".join(answer_of(2)["contents"]["value"].split()))

found = diagnostics_of("file:///bad.mlir", """func.func @f(%s: tensor<?x4xf32>) {
  %r = moe.router #moe.top_k<5> select(%s) weigh(%s) : tensor<?x4xf32> -> !moe.routing<4 x 5>
  return
}
""")
print("diagnostics of bad.mlir: %d" % len(found))
for one in found:
    print("line %d: %s" % (one["range"]["start"]["line"] + 1,
                           " ".join(one["message"].split())))
send("shutdown", None, 3)
answer_of(3)
send("exit", None)
sys.exit(process.wait(timeout=30))
