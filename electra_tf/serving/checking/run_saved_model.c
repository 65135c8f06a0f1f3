/* Answers requests with a SavedModel through TensorFlow's C API, as a server without Python does.
 *
 *     run_saved_model BUNDLE REQUESTS RESULTS [OP_LIBRARY...]
 *
 * REQUESTS: the number of requests; of each the number of its inputs, for each input a name and a
 * tensor, the number of its outputs, for each output a name. RESULTS: the outputs' tensors, in the
 * same order. Numbers are uint32 in the machine's byte order unless said otherwise; a name,
 * "operation:index", and every string are a length and bytes; a tensor is its TF_DataType, its
 * rank, its dimensions (int64 each), and then its strings or its numbers as they lie in memory.
 *
 * Prints a line for each output. The first error ends it: one line on stderr, exit code 1.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

enum { MAX_RANK = 16 };

static void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

static void require_ok(TF_Status* status, const char* what) {
  if (TF_GetCode(status) != TF_OK) fail("%s: %s", what, TF_Message(status));
}

static void* allocate(size_t size) {
  void* memory = malloc(size ? size : 1);
  if (memory == NULL) fail("out of memory");
  return memory;
}

static void read_bytes(FILE* file, void* to, size_t size) {
  if (fread(to, 1, size, file) != size) fail("the requests end too early");
}

static uint32_t read_number(FILE* file) {
  uint32_t number;
  read_bytes(file, &number, sizeof number);
  return number;
}

static char* read_string(FILE* file, uint32_t* length) {
  *length = read_number(file);
  char* text = allocate((size_t)*length + 1);
  read_bytes(file, text, *length);
  text[*length] = '\0';
  return text;
}

static void write_bytes(FILE* file, const void* from, size_t size) {
  if (fwrite(from, 1, size, file) != size) fail("cannot write the results");
}

static void write_number(FILE* file, uint32_t number) { write_bytes(file, &number, sizeof number); }

/* Numbers of the tensor are written where they stay; its strings are copied one by one. */
static TF_Tensor* read_tensor(FILE* file) {
  TF_DataType type = (TF_DataType)read_number(file);
  uint32_t rank = read_number(file);
  if (rank > MAX_RANK) fail("a tensor of the requests has %" PRIu32 " dimensions", rank);
  int64_t dims[MAX_RANK];
  size_t count = 1;
  for (uint32_t axis = 0; axis < rank; ++axis) {
    read_bytes(file, &dims[axis], sizeof dims[axis]);
    count *= (size_t)dims[axis];
  }
  size_t size = type == TF_STRING ? sizeof(TF_TString) : TF_DataTypeSize(type);
  TF_Tensor* tensor = TF_AllocateTensor(type, dims, (int)rank, count * size);
  if (tensor == NULL) fail("no memory for a tensor of the requests");
  if (type != TF_STRING) {
    read_bytes(file, TF_TensorData(tensor), count * size);
    return tensor;
  }
  TF_TString* strings = TF_TensorData(tensor);
  for (size_t i = 0; i < count; ++i) {
    uint32_t length;
    char* text = read_string(file, &length);
    TF_StringInit(&strings[i]);
    TF_StringCopy(&strings[i], text, length);
    free(text);
  }
  return tensor;
}

static void write_tensor(FILE* file, const TF_Tensor* tensor) {
  int rank = TF_NumDims(tensor);
  write_number(file, (uint32_t)TF_TensorType(tensor));
  write_number(file, (uint32_t)rank);
  for (int axis = 0; axis < rank; ++axis) {
    int64_t size = TF_Dim(tensor, axis);
    write_bytes(file, &size, sizeof size);
  }
  if (TF_TensorType(tensor) != TF_STRING) {
    write_bytes(file, TF_TensorData(tensor), TF_TensorByteSize(tensor));
    return;
  }
  const TF_TString* strings = TF_TensorData(tensor);
  for (int64_t i = 0; i < TF_TensorElementCount(tensor); ++i) {
    uint32_t length = (uint32_t)TF_StringGetSize(&strings[i]);
    write_number(file, length);
    write_bytes(file, TF_StringGetDataPointer(&strings[i]), length);
  }
}

static void print_shape(uint32_t request, const char* name, const TF_Tensor* tensor) {
  printf("request %" PRIu32 ": %s [", request, name);
  for (int axis = 0; axis < TF_NumDims(tensor); ++axis) {
    printf("%s%" PRId64, axis ? ", " : "", TF_Dim(tensor, axis));
  }
  printf("]\n");
}

/* The place in the graph that "operation:index" names. */
static TF_Output find_output(TF_Graph* graph, const char* name) {
  const char* colon = strrchr(name, ':');
  size_t length = colon ? (size_t)(colon - name) : strlen(name);
  char* operation = allocate(length + 1);
  memcpy(operation, name, length);
  operation[length] = '\0';
  TF_Output output = {TF_GraphOperationByName(graph, operation), colon ? atoi(colon + 1) : 0};
  free(operation);
  if (output.oper == NULL) fail("the graph has no tensor %s", name);
  return output;
}

static void answer(TF_Session* session, TF_Graph* graph, uint32_t request, FILE* requests,
                   FILE* results, TF_Status* status) {
  uint32_t length;
  uint32_t num_inputs = read_number(requests);
  TF_Output* inputs = allocate(num_inputs * sizeof *inputs);
  TF_Tensor** values = allocate(num_inputs * sizeof *values);
  for (uint32_t i = 0; i < num_inputs; ++i) {
    char* name = read_string(requests, &length);
    inputs[i] = find_output(graph, name);
    free(name);
    values[i] = read_tensor(requests);
  }
  uint32_t num_outputs = read_number(requests);
  TF_Output* outputs = allocate(num_outputs * sizeof *outputs);
  TF_Tensor** answers = allocate(num_outputs * sizeof *answers);
  char** names = allocate(num_outputs * sizeof *names);
  for (uint32_t i = 0; i < num_outputs; ++i) {
    names[i] = read_string(requests, &length);
    outputs[i] = find_output(graph, names[i]);
  }
  TF_SessionRun(session, NULL, inputs, values, (int)num_inputs, outputs, answers,
                (int)num_outputs, NULL, 0, NULL, status);
  require_ok(status, "request failed");
  for (uint32_t i = 0; i < num_outputs; ++i) {
    print_shape(request, names[i], answers[i]);
    write_tensor(results, answers[i]);
    TF_DeleteTensor(answers[i]);
    free(names[i]);
  }
  for (uint32_t i = 0; i < num_inputs; ++i) TF_DeleteTensor(values[i]);
  free(inputs);
  free(values);
  free(outputs);
  free(answers);
  free(names);
}

int main(int argc, char** argv) {
  if (argc < 4) fail("usage: run_saved_model BUNDLE REQUESTS RESULTS [OP_LIBRARY...]");
  TF_Status* status = TF_NewStatus();
  for (int i = 4; i < argc; ++i) {
    TF_LoadLibrary(argv[i], status); /* stays loaded: the graph needs its ops */
    require_ok(status, argv[i]);
  }
  const char* tags[] = {"serve"};
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  TF_Session* session =
      TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  require_ok(status, "cannot load the SavedModel");
  FILE* requests = fopen(argv[2], "rb");
  FILE* results = fopen(argv[3], "wb");
  if (requests == NULL || results == NULL) fail("cannot open %s or %s", argv[2], argv[3]);
  uint32_t number = read_number(requests);
  for (uint32_t request = 0; request < number; ++request) {
    answer(session, graph, request, requests, results, status);
  }
  fclose(requests);
  if (fclose(results) != 0) fail("cannot write the results");
  TF_CloseSession(session, status);
  require_ok(status, "cannot close the session");
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
