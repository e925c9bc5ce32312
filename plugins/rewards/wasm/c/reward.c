// The native reward `reach` (plugins/rewards/src/reach.rs) in C: the same formula, in f64 and in the same order.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reward.h"

typedef exports_twinhost_plugin_scoring_error_t error_t;

static double goal[3], scale, radius;

// Reads the `count` numbers that follow `"name":` in a flat JSON object; leaves `values` as they are if there is no such name.
static void numbers(const char *json, const char *name, double *values, int count) {
  const char *at = strstr(json, name);
  if (at == NULL) return;
  for (at += strlen(name); count > 0 && *at != '\0' && *at != '}'; at++) {
    char *end;
    double value = strtod(at, &end);
    if (end == at) continue;
    *values++ = value;
    count--;
    at = end - 1;
  }
}

static bool refuse(error_t *err, uint8_t kind, const char *field, const char *message) {
  err->kind = kind;
  err->field.is_some = field != NULL;
  if (field != NULL) reward_string_dup(&err->field.val, field);
  reward_string_dup(&err->message, message);
  return false;
}

bool exports_twinhost_plugin_scoring_configure(reward_string_t *config, reward_string_t *environment, uint64_t seed,
                                               reward_string_t *ret, error_t *err) {
  goal[0] = 0.5, goal[1] = 0.0, goal[2] = 0.1, scale = 5.0, radius = 0.05;
  char *json = strndup((const char *)config->ptr, config->len);
  numbers(json, "\"goal\"", goal, 3);
  numbers(json, "\"scale\"", &scale, 1);
  numbers(json, "\"radius\"", &radius, 1);
  free(json);
  if (!(scale > 0.0 && isfinite(scale)))
    return refuse(err, TWINHOST_PLUGIN_TYPES_ERROR_KIND_CONFIG, "scale", "must be a finite number > 0");
  if (!(radius >= 0.0 && isfinite(radius)))
    return refuse(err, TWINHOST_PLUGIN_TYPES_ERROR_KIND_CONFIG, "radius", "must be a finite number >= 0");
  reward_string_dup(ret, "{\"needs\": [\"observation.state\", \"action\"], \"decides_success\": false}");
  return true;
}

bool exports_twinhost_plugin_scoring_reset(reward_list_u32_t *rows, error_t *err) { return true; }

static double length(double x, double y, double z) { return sqrt(x * x + y * y + z * z); }

bool exports_twinhost_plugin_scoring_score(exports_twinhost_plugin_scoring_batch_t *transition, uint32_t steps,
                                           exports_twinhost_plugin_scoring_scores_t *ret, error_t *err) {
  const twinhost_plugin_types_tensor_t *state = &transition->tensors.ptr[0], *action = &transition->tensors.ptr[1];
  if (state->values.tag != TWINHOST_PLUGIN_TYPES_VALUES_FLOAT32 || state->shape.len != 2 || state->shape.ptr[1] < 3)
    return refuse(err, TWINHOST_PLUGIN_TYPES_ERROR_KIND_INPUT, NULL, "`observation.state` must be f32 [B, S] with S >= 3");
  if (action->values.tag != TWINHOST_PLUGIN_TYPES_VALUES_FLOAT32 || action->shape.len != 3 || action->shape.ptr[2] < 3)
    return refuse(err, TWINHOST_PLUGIN_TYPES_ERROR_KIND_INPUT, NULL, "`action` must be f32 [B, C, A] with A >= 3");
  size_t rows = transition->rows, width = state->shape.ptr[1], dim = action->shape.ptr[2];
  memset(ret, 0, sizeof *ret);
  ret->rewards.len = rows * steps;
  ret->rewards.ptr = calloc(rows * steps + 1, sizeof(float));
  for (size_t row = 0; row < rows; row++) {
    const float *s = state->values.val.float32.ptr + row * width;
    double distance = length(s[0] - goal[0], s[1] - goal[1], s[2] - goal[2]);
    double reaching = 1.0 - tanh(scale * distance);
    for (uint32_t step = 0; step < steps; step++) {
      const float *a = action->values.val.float32.ptr + (row * steps + step) * dim;
      double motion = length(a[0], a[1], a[2]);
      double resting = distance <= radius ? 1.0 - tanh(scale * motion) : 0.0;
      double reward = (reaching + resting) / 2.0;
      if (!isfinite(reward) || !isfinite(motion)) {
        free(ret->rewards.ptr);
        return refuse(err, TWINHOST_PLUGIN_TYPES_ERROR_KIND_NUMERICAL, NULL, "the distance and the action's length must be finite");
      }
      ret->rewards.ptr[row * steps + step] = (float)reward;
    }
  }
  return true;
}
