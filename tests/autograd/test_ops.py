"""Every registered op, by iterating over the registry; and the checker, shown to reject what is wrong."""

import pytest

import gptlab
from gptlab.autograd.check import check_op
from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins

REGISTRY = load_plugins(discover=False).registry


@pytest.mark.parametrize("name", REGISTRY.names("op"))
def test_each_op_has_the_gradients_that_central_differences_see(name):
    op = REGISTRY.get("op", name)
    assert op.samples
    assert check_op(op) == []


@pytest.mark.parametrize("name", REGISTRY.names("op"))
def test_each_op_says_what_it_computes(name):
    assert REGISTRY.entry("op", name).description


@pytest.mark.parametrize("argument", [0, 1])
def test_the_checker_rejects_a_gradient_that_is_a_thousandth_wrong(argument):
    factors = [1.0, 1.0]
    factors[argument] = 1.001

    @gptlab.op(samples=[(0.5, -1.5), (2.0, 3.0)])
    def wrong(xp, a, b):
        return a * b, (b * factors[0], a * factors[1])

    found = check_op(wrong)
    assert {d.argument for d in found} == {argument}
    assert len(found) == 2
    assert all(d.relative == pytest.approx(0.001, rel=0.01) for d in found)
    assert f"by input {argument}" in str(found[0])


def test_a_straight_through_estimator_is_left_its_gradient():
    @gptlab.op(samples=[(0.4,)], exact_gradient=False)
    def rounded(xp, a):
        return xp.round(a), (1.0,)

    assert check_op(rounded) == []


def wrong_count(xp, a, b):
    return a * b, (b,)


def not_finite(xp, a):
    return xp.log(a), (1.0 / a,)


@pytest.mark.parametrize(
    ("function", "samples", "says"),
    [
        (wrong_count, [(1.0, 2.0)], "takes 2 numbers and must give as many local gradients.*gave 1"),
        (not_finite, [(0.0,)], "finite numbers at its own samples"),
        (not_finite, [], "must have samples"),
    ],
    ids=["count", "nan", "no-samples"],
)
def test_an_op_that_cannot_be_checked_says_why(function, samples, says):
    op = gptlab.op(samples=samples)(function)
    with pytest.raises(UserError, match=says):
        check_op(op)


def test_an_op_must_take_a_fixed_count_of_numbers():
    with pytest.raises(UserError, match="fixed count"):
        gptlab.op(lambda xp, *xs: (xs[0], xs))
    with pytest.raises(UserError, match="2 numbers"):
        gptlab.op(samples=[(1.0,)])(lambda xp, a, b: (a, (1.0, 0.0)))


def test_a_table_swaps_one_slot_and_keeps_the_rest():
    @gptlab.op(samples=[(1.0, 2.0)])
    def halfmul(xp, a, b):
        return 0.5 * a * b, (0.5 * b, 0.5 * a)

    table = OpTable({"mul": halfmul})
    assert table["mul"] is halfmul
    assert table["add"] is BUILTIN_OPS["add"]
    assert not table.standard("add", "mul")
    assert table.standard("add", "exp")


def test_a_table_refuses_another_arity_and_unknown_slots():
    with pytest.raises(UserError, match=r"ops\.mul must be an op of 2 numbers, got 'exp', which takes 1"):
        OpTable({"mul": BUILTIN_OPS["exp"]})
    with pytest.raises(UserError, match="mul"):
        OpTable({"mull": BUILTIN_OPS["mul"]})
    with pytest.raises(UserError, match="tanh"):
        OpTable()["tahn"]


def test_a_power_of_a_negative_number_has_a_gradient_to_its_base_and_none_to_the_exponent():
    base, exponent = gptlab.Value(-2.0), gptlab.Value(2.0)
    (base**exponent).backward()
    assert (base.grad, exponent.grad) == (-4.0, 0.0)
