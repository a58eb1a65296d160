"""Exact expectations of pass@k, best-of-n and votes over subsets of samples, trees and chains."""
