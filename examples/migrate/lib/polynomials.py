"""The extension: polynomials that are easy to fit by gradient descent (Chebyshev's)."""


def basis(x, degree):
    values = [1.0, x]
    while len(values) <= degree:
        values.append(2 * x * values[-1] - values[-2])
    return values[:degree + 1]


def value(weights, x):
    return sum(w * b for w, b in zip(weights, basis(x, len(weights) - 1)))
